// How a Rig finds properties, links, children and facts for a device that nobody has told it about.
#pragma once

#include "backplane/testkit/rig.hpp"

namespace backplane::testkit {

// A value for everything that the declaration demands and nobody gave.
inline Properties Rig::choose_properties(const Declaration& d) const {
    Properties out;
    Random random(options_.vary);
    for (const Declaration::Property& p : d.properties) {
        const auto given = std::find_if(options_.properties.begin(), options_.properties.end(),
                                        [&p](const auto& item) { return item.first == p.name; });
        if (given != options_.properties.end()) {
            std::string value = given->second;
            for (std::size_t at; (at = value.find("{folder}")) != std::string::npos;)
                value.replace(at, 8, options_.folder);
            out.emplace_back(p.name, value);
            continue;
        }
        if (!p.required && !options_.vary) continue;
        if (!p.required) {
            if (p.kind == BP_PROPERTY_BOOL && random.one_in(2))
                out.emplace_back(p.name, random.one_in(2) ? "true" : "false");
            else if (p.kind == BP_PROPERTY_ENUM && random.one_in(2) && !p.choices.empty())
                out.emplace_back(p.name, random.pick(p.choices));
            continue;
        }
        const auto within = [&p](u64 wish) {
            return std::to_string(std::clamp(wish, p.minimum, std::max(p.minimum, p.maximum)));
        };
        switch (p.kind) {
            case BP_PROPERTY_BOOL: out.emplace_back(p.name, "false"); break;
            case BP_PROPERTY_U64: out.emplace_back(p.name, within(0)); break;
            case BP_PROPERTY_SIZE: out.emplace_back(p.name, within(1 << 20)); break;
            case BP_PROPERTY_DURATION: out.emplace_back(p.name, within(1'000'000) + "ns"); break;
            case BP_PROPERTY_ENUM: out.emplace_back(p.name, p.choices.empty() ? "" : p.choices.front()); break;
            case BP_PROPERTY_PATH: out.emplace_back(p.name, file(p.name)); break;
            default: out.emplace_back(p.name, "check.bin"); break;
        }
    }
    return out;
}

// A file of 64 KiB with a boot sector's signature, made when it is first asked for.
inline std::string Rig::file(const std::string& name) const {
    const std::string path = options_.folder + "/" + name;
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return path;
    std::vector<u8> data(64 << 10);
    Random(7).fill(data.data(), data.size());
    data[510] = 0x55, data[511] = 0xaa;
    const ssize_t written = ::write(fd, data.data(), data.size());
    ::close(fd);
    if (written != static_cast<ssize_t>(data.size())) check_.fail("the file " + path + " cannot be written");
    return path;
}

inline Standin* Rig::add(std::string_view id, Role role, const StandinKind** kind) {
    const StandinKind* found = find_standin(options_.standins, id, role);
    if (kind) *kind = found;
    if (!found) return nullptr;
    standins_.push_back(found->make(board_, static_cast<u32>(standins_.size())));
    static constexpr const char* kRoles[] = {"the device that it links to", "the bus that it sits on",
                                             "the child on its bus", "a user of what it offers"};
    standin_names_.push_back(std::string(kRoles[static_cast<int>(role)]) + " acts (" + std::string(id) + ")");
    return standins_.back().get();
}

inline std::string Rig::join_links() {
    for (const Declaration::Link& link : declaration().links) {
        const std::vector<std::string>& chosen = options_.links;
        const bool wanted = chosen.empty() ? options_.optional_links
                                           : std::find(chosen.begin(), chosen.end(), link.name) != chosen.end();
        if (link.optional && !wanted) continue;
        if (Standin* s = add(link.id, Role::kLink))
            board_.join(link.name, s->interface());
        else if (!link.optional)
            return "its link " + link.name + " needs " + link.id + ", for which the test kit has no stand-in";
        else
            remarks_.push_back("link " + link.name + " stays open: no stand-in for " + link.id);
    }
    return {};
}

inline std::string Rig::join_buses() {
    for (const Declaration::Plug& plug : declaration().plugs) {
        Standin* s = add(plug.host_id, Role::kHost);
        if (!s)
            return "it sits on a bus of " + plug.host_id + " for " + plug.child_id +
                   ", for which the test kit has no stand-in";
        board_.plug_into(s->interface());
        const bp_interface child = board_.offer(plug.child_id);
        if (!child.table) return "it sits on a bus as " + plug.child_id + " but does not offer that";
        tables_.emplace_back(plug.child_id, child.table);
        s->meet(child);
    }
    for (const Declaration::Bus& bus : declaration().buses) {
        if (!options_.children) continue;
        const StandinKind* kind = nullptr;
        Standin* s = add(bus.child_id, Role::kChild, &kind);
        if (!s) {
            remarks_.push_back("bus " + bus.name + " stays empty: no stand-in for " + bus.child_id);
            continue;
        }
        bp_interface host{nullptr, nullptr};
        bool taken = false;
        for (const std::string& address : kind->addresses)
            if (!taken)
                taken = board_.attach(bus.name, address, "child" + std::to_string(standins_.size()), s->interface(),
                                      &host) == BP_OK;
        if (!taken) return "its bus " + bus.name + " takes no child: " + board_.failure;
        if (!host.table && !bus.host_id.empty()) return "its bus " + bus.name + " gives a child no " + bus.host_id;
        if (host.table) tables_.emplace_back(bus.host_id, host.table);
        s->meet(host);
    }
    return {};
}

inline std::string Rig::use_offers() {
    for (const Declaration::Offer& offer : declaration().offers) {
        const bp_interface interface = board_.offer(offer.id, offer.name);
        if (!interface.table) return "it declares to offer " + offer.id + " but does not";
        tables_.emplace_back(offer.id, interface.table);
        if (Standin* s = add(offer.id, Role::kUser))
            s->meet(interface);
        else
            remarks_.push_back("nobody uses its offer " + offer.id + ": no stand-in");
    }
    return {};
}

// The facts that boards publish, with the values of a small machine.
inline std::string Rig::feed_facts() {
    struct Known {
        std::string_view what, key;
        std::vector<FactField> fields;
    };
    const std::vector<Known> known = {
        {"ram.layout", "memory", {{"below_4g", 128 << 20}, {"above_4g", 0}, {"total", 128 << 20}}},
        {"cpu.count", "", {{"boot", 1}, {"max", 2}}},
        {"disk.geometry",
         "0",
         {{"cylinders", 1024},
          {"heads", 16},
          {"sectors", 63},
          {"translation", 1},
          {"lcylinders", 64},
          {"lheads", 255},
          {"lsectors", 63},
          {"sectors_total", 1024 * 16 * 63},
          {"reason", 0, "a drive of the test kit"}}},
        {"floppy.drive", "0", {{"type", 4}}},
    };
    for (const Declaration::Fact& fact : declaration().facts) {
        if (fact.publishes) continue;
        const auto found =
            std::find_if(known.begin(), known.end(), [&](const Known& k) { return k.what == fact.what; });
        if (found == known.end()) {
            remarks_.push_back("the fact " + fact.what + " stays unpublished: the test kit does not know it");
            continue;
        }
        check_.doing("consume(%s)", fact.what.c_str());
        if (board_.consume(found->what, found->key, found->fields) != BP_OK)
            return "it refuses the fact " + fact.what + ": " + board_.failure;
    }
    return {};
}

}  // namespace backplane::testkit
