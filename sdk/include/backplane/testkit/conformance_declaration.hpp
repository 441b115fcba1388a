// Conformance: what a type declares, and the interfaces that it hands out.
#pragma once

#include <cctype>
#include <set>

#include "backplane/testkit/conformance_subject.hpp"

namespace backplane::testkit {

namespace detail {

// Collects what is wrong, so that an author sees it all at once.
class Faults {
  public:
    void add(const std::string& text) { text_ += (text_.empty() ? "" : "; ") + text; }
    void unless(bool good, const std::string& text) {
        if (!good) add(text);
    }
    const std::string& text() const { return text_; }

  private:
    std::string text_;
};

inline bool well_formed_name(std::string_view name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '-' || c == '_' || c == '.';
    });
}
// "bp.block/1"
inline bool well_formed_id(std::string_view id) {
    const auto slash = id.rfind('/');
    if (slash == std::string_view::npos || slash + 1 == id.size() || !well_formed_name(id.substr(0, slash)))
        return false;
    return std::all_of(id.begin() + static_cast<std::ptrdiff_t>(slash) + 1, id.end(),
                       [](unsigned char c) { return std::isdigit(c); });
}

class DeclarationCheck {
  public:
    explicit DeclarationCheck(const Declaration& d) : d_(d) {}

    std::string run() {
        for (const std::string& fault : d_.faults) faults_.add(fault);
        faults_.unless(well_formed_name(d_.type), "the type's name \"" + d_.type + "\" is not well-formed");
        faults_.unless(!d_.doc.empty(), "the type has no doc");
        faults_.unless(d_.state_version >= 1, "the state's version is 0");
        for (const auto& p : d_.properties) property(p);
        for (const auto& l : d_.outputs) line(l, "output line");
        for (const auto& l : d_.inputs) {
            line(l, "input line");
            faults_.unless(l.changed, "input line " + l.name + " has no handler");
        }
        for (const auto& r : d_.regions) region(r);
        for (const auto& t : d_.timers) {
            named("timer", t.name);
            faults_.unless(t.expired, "timer " + t.name + " has no handler");
        }
        for (const auto& l : d_.links) {
            documented("link", l.name, l.doc), key(l.name);
            id("link " + l.name, l.id);
        }
        for (const auto& b : d_.buses) bus(b);
        for (const auto& p : d_.plugs) id("its plug", p.child_id), id("its plug", p.host_id);
        for (const auto& o : d_.offers) {
            id("an offer", o.id);
            unique("offer", o.id + " " + o.name);
        }
        for (const auto& f : d_.facts) {
            documented("fact", f.what, f.doc);
            faults_.unless(f.publishes || !f.must_consume,
                           "fact " + f.what + ": only a publisher can demand a consumer");
        }
        for (const auto& t : d_.traces) documented("trace point", t.name, t.doc);
        return faults_.text();
    }

  private:
    void unique(const std::string& kind, const std::string& name) {
        faults_.unless(seen_.insert(kind + "\n" + name).second, "two of kind " + kind + " are called " + name);
    }
    void named(const std::string& kind, const std::string& name) {
        faults_.unless(well_formed_name(name), kind + " \"" + name + "\" has no well-formed name");
        unique(kind, name);
    }
    void documented(const std::string& kind, const std::string& name, const std::string& doc) {
        named(kind, name);
        faults_.unless(!doc.empty(), kind + " " + name + " has no doc");
    }
    // What stands as a key under the device in a board file must not mean two things.
    void key(const std::string& name) {
        for (const char* taken : {"type", "plugin", "on", "at"})
            faults_.unless(name != taken, "\"" + name + "\" means something else in a board file");
        unique("key of a board file", name);
    }
    void id(const std::string& whose, const std::string& text) {
        faults_.unless(well_formed_id(text),
                       whose + " names \"" + text + "\", which is no interface id such as bp.block/1");
    }
    void property(const Declaration::Property& p) {
        documented("property", p.name, p.doc);
        key(p.name);
        const std::string whose = "property " + p.name;
        faults_.unless(p.kind >= BP_PROPERTY_BOOL && p.kind <= BP_PROPERTY_PATH, whose + " has an unknown kind");
        faults_.unless(p.minimum <= p.maximum, whose + ": its minimum is greater than its maximum");
        faults_.unless(p.kind != BP_PROPERTY_ENUM || !p.choices.empty(), whose + " has no choices");
        for (const std::string& choice : p.choices) unique("choice of " + whose, choice);
        if (p.required) return;
        if (const std::string fault = property_fault(p, p.default_text); !fault.empty())
            faults_.add(whose + ": its default " + fault);
    }
    void line(const Declaration::Line& l, const std::string& kind) {
        faults_.unless(!l.doc.empty(), kind + " " + l.name + " has no doc");
        faults_.unless(l.count >= 1 && l.count <= 4096, kind + " " + l.name + " has an impossible count");
        for (u32 i = 0; i < std::min<u32>(l.count, 4096); ++i) named(kind, l.line_name(i));
        if (kind != "output line") return;
        key(l.name);
        for (u32 i = 0; l.count > 1 && i < std::min<u32>(l.count, 4096); ++i) key(l.line_name(i));
    }
    void region(const Declaration::Region& r) {
        documented("region", r.name, r.doc);
        const std::string whose = "region " + r.name;
        faults_.unless(r.kind == BP_REGION_PORTS || r.kind == BP_REGION_MEMORY, whose + " has an unknown kind");
        faults_.unless(r.length, whose + " has no length");
        faults_.unless(r.kind != BP_REGION_PORTS || r.length <= 0x10000, whose + " has more ports than there are");
        faults_.unless(r.widths && !(r.widths & ~15u), whose + " decodes no access width");
        faults_.unless(r.read || r.write, whose + " is neither read nor written");
    }
    void bus(const Declaration::Bus& b) {
        faults_.unless(!b.doc.empty(), "bus \"" + b.name + "\" has no doc");
        if (!b.name.empty()) named("bus", b.name);
        id("bus " + b.name, b.child_id);
        if (!b.host_id.empty()) id("bus " + b.name, b.host_id);
        faults_.unless(b.attach, "bus " + b.name + " cannot be attached to");
    }

    const Declaration& d_;
    Faults faults_;
    std::set<std::string> seen_;
};

// Whether the declared state makes sense, as a fresh instance shows it.
inline std::string state_declaration_fault(const std::vector<VisitedField>& fields, u32 version, bool backend) {
    Faults faults;
    std::set<std::string> names;
    for (const VisitedField& f : fields) {
        const std::string whose = "state field " + f.name;
        const bool good = !f.name.empty() && f.name.size() <= 256 &&
                          std::all_of(f.name.begin(), f.name.end(),
                                      [](unsigned char c) { return std::isalnum(c) || std::strchr("-_.[]", c); });
        faults.unless(good, "state field \"" + f.name + "\" has no well-formed name");
        faults.unless(names.insert(f.name).second, "two state fields are called " + f.name);
        faults.unless(f.info.size == sizeof(bp_state_field), whose + " is declared with another size than the ABI's");
        faults.unless(f.info.since >= 1 && f.info.since <= version,
                      whose + " came with version " + std::to_string(f.info.since) + ", but the state has version " +
                          std::to_string(version));
        if (f.dropped()) {
            faults.unless(f.info.count == 0, whose + " was dropped, but has a count");
            continue;
        }
        const u32 size = f.info.element_size;
        faults.unless(f.info.kind >= BP_STATE_UNSIGNED && f.info.kind <= BP_STATE_FLOAT,
                      whose + " has an unknown kind");
        faults.unless(size == 1 || size == 2 || size == 4 || size == 8, whose + " has elements of an odd size");
        faults.unless(f.info.count, whose + " is empty");
        faults.unless(f.info.kind != BP_STATE_BOOL || f.info.maximum <= 1,
                      whose + " is a bool that may be more than 1");
        faults.unless(!f.identity() || backend, whose + " is identity, which only back ends have");
        const bool ordered = f.info.kind == BP_STATE_SIGNED
                                 ? static_cast<i64>(f.info.minimum) <= static_cast<i64>(f.info.maximum)
                                 : f.info.minimum <= f.info.maximum;
        faults.unless(!state_has_range(f.info) || ordered, whose + ": its minimum is greater than its maximum");
    }
    return faults.text();
}

// Sizes of the standard interface tables; all but the size field are functions.
inline std::string table_fault(const std::string& id, const void* table) {
    struct Known {
        std::string_view id;
        u32 size;
    };
    static constexpr Known kKnown[] = {
        {BP_BLOCK_ID, sizeof(bp_block)},       {BP_CHARDEV_ID, sizeof(bp_chardev)},
        {BP_KEYBOARD_ID, sizeof(bp_keyboard)}, {BP_MOUSE_ID, sizeof(bp_mouse)},
        {BP_DISPLAY_ID, sizeof(bp_display)},   {BP_NVRAM_ID, sizeof(bp_nvram)},
        {BP_POWER_ID, sizeof(bp_power)},       {BP_CPU_ID, sizeof(bp_cpu)},
        {BP_INTR_ID, sizeof(bp_intr)},         {BP_MSI_ID, sizeof(bp_msi)},
        {BP_APIC_BUS_ID, sizeof(bp_apic_bus)}, {BP_ISA_DMA_ID, sizeof(bp_isa_dma)},
        {BP_PCI_BUS_ID, sizeof(bp_pci_bus)},   {BP_PCI_FUNCTION_ID, sizeof(bp_pci_function)},
        {BP_ATA_BUS_ID, sizeof(bp_ata_bus)},   {BP_ATA_DEVICE_ID, sizeof(bp_ata_device)},
        {BP_PS2_PORT_ID, sizeof(bp_ps2_port)}, {BP_PS2_DEVICE_ID, sizeof(bp_ps2_device)},
        {BP_FW_CFG_ID, sizeof(bp_fw_cfg)},     {BP_FW_CFG_SOURCE_ID, sizeof(bp_fw_cfg_source)},
    };
    u32 size = 0;
    std::memcpy(&size, table, sizeof size);
    if (size < sizeof size || size > 4096) return "its table for " + id + " has no sensible size field";
    const auto known = std::find_if(std::begin(kKnown), std::end(kKnown), [&id](const Known& k) { return k.id == id; });
    if (known == std::end(kKnown)) return {};
    if (size != known->size)
        return "its table for " + id + " says that it has " + std::to_string(size) + " bytes, not " +
               std::to_string(known->size);
    for (u32 at = sizeof(void*); at + sizeof(void*) <= size; at += sizeof(void*)) {
        const void* function = nullptr;
        std::memcpy(&function, static_cast<const u8*>(table) + at, sizeof function);
        if (!function) return "its table for " + id + " lacks function " + std::to_string(at / sizeof(void*));
    }
    return {};
}

}  // namespace detail

inline void check_declaration(const Subject& s, Case& check) {
    const bp_device_type* t = s.type;
    check.require(t->size == sizeof(bp_device_type), "the type's table has another size than the ABI's");
    check.require(t->describe && t->create && t->destroy && t->start && t->stop && t->publish && t->consume &&
                      t->reset && t->visit_state && t->restored && t->connect && t->drain && t->input && t->offer &&
                      t->plugged,
                  "the type's table lacks a function");
    check.doing("describe()");
    const Declaration first = declare(t), second = declare(t);
    check.require(first.text() == second.text(), "describe() says something else the second time");
    const std::string fault = detail::DeclarationCheck(first).run();
    check.require(fault.empty(), fault);
}

inline void check_state_declaration(const Subject& s, Case& check) {
    const auto rig = s.powered(check);
    check.doing("visit_state()");
    const auto fields = visited_state(s.type, rig->board().instance());
    const std::string fault = detail::state_declaration_fault(fields, s.type->state_version, s.backend);
    check.require(fault.empty(), fault);
    for (const VisitedField& f : fields)
        if (const std::string range = state_range_fault(f, f.value.data()); !range.empty())
            check.fail(range + ", at power-on");
}

inline void check_interfaces(const Subject& s, Case& check) {
    const auto rig = s.powered(check);
    for (const auto& [id, table] : rig->tables())
        if (const std::string fault = detail::table_fault(id, table); !fault.empty()) check.fail(fault);
    check.doing("offer() of an interface that it does not have");
    check.require(!rig->board().offer("check.nothing/1").table,
                  "it offers an interface of every name: offer() must compare");
}

}  // namespace backplane::testkit
