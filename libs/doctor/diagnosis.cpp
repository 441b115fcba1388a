#include "diagnosis.hpp"

#include <algorithm>
#include <array>

namespace backplane::doctor {
namespace {

using geometry::Geometry;
using geometry::Settings;

Int13 int13_of(const Geometry& g) { return {g.logical, g.sectors}; }

std::string quoted(const std::string& path) {
    const bool plain = !path.empty() && std::all_of(path.begin(), path.end(), [](unsigned char c) {
        return std::isalnum(c) || std::string_view("/._-+:,=@%").find(static_cast<char>(c)) != std::string_view::npos;
    });
    if (plain) return path;
    std::string out = "'";
    for (const char c : path) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

std::string yaml_text(const std::string& path) {
    std::string out = "\"";
    for (const char c : path) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + "\"";
}

// Name and value of each property that pins a geometry.
std::vector<std::pair<std::string, std::string>> properties(const Settings& s) {
    std::vector<std::pair<std::string, std::string>> all;
    const auto add = [&](const char* prefix, const geometry::Chs& c) {
        all.emplace_back(prefix + std::string("cylinders"), std::to_string(c.cylinders));
        all.emplace_back(prefix + std::string("heads"), std::to_string(c.heads));
        all.emplace_back(prefix + std::string("sectors"), std::to_string(c.sectors));
    };
    if (s.chs) add("", *s.chs);
    if (s.translation) all.emplace_back("translation", std::string(geometry::name(*s.translation)));
    if (s.logical) add("l", *s.logical);
    return all;
}

std::string fix_command(const Subject& subject, const std::set<Fix>& fixes) {
    std::string line = "backplane disk doctor " + quoted(subject.image) + " --format " + subject.format;
    if (subject.policy == geometry::Policy::kAuto) line += " --policy auto";
    for (const Fix f : fixes) line += " --fix " + std::string(name(f));
    return line;
}

std::string named(const std::set<Fix>& fixes) {
    std::string text;
    for (const Fix f : fixes) {
        const char* what = f == Fix::kBpb      ? "heads and sectors a track in the boot sector (and its copy)"
                           : f == Fix::kHidden ? "the hidden sectors in the boot sector (and its copy)"
                                               : "the cylinder, head and sector numbers of the partition table";
        text += (text.empty() ? "" : ", ") + std::string(what);
    }
    return text;
}

// Examines what a disk would be after some repairs.
class Trial {
  public:
    Trial(const Subject& subject, const Layout& layout) : subject_(subject), layout_(layout) {}

    // The layout after the fixes; none if they cannot be made or change nothing.
    std::optional<Layout> fixed(const std::set<Fix>& fixes, const Tracks& target) const {
        if (fixes.empty()) return layout_;
        const Plan p = plan(layout_, subject_.reader, fixes, {}, target);
        if (!p.refused.empty() || p.writes.empty()) return {};
        return read_layout(after(subject_.reader, p.writes), subject_.sectors);
    }
    bool helps(const std::set<Fix>& fixes, const Geometry& g) const {
        const auto layout = fixed(fixes, {g.logical.heads, g.logical.sectors});
        return layout && starts(*layout, g);
    }
    // Missing boot code is a cure of its own; the others are judged as if it were there.
    static bool starts(const Layout& layout, const Geometry& g) {
        return run(layout, int13_of(g), true).result == Result::kStarts;
    }

  private:
    const Subject& subject_;
    const Layout& layout_;
};

// Geometries worth a try: what the disk itself says, then what BIOSes have shown.
std::vector<Tracks> candidates(const Layout& layout) {
    std::vector<Tracks> all;
    const auto add = [&](const Tracks& t) {
        if (t.heads >= 1 && t.heads <= geometry::kMaxLogicalHeads && t.sectors >= 1 &&
            t.sectors <= geometry::kMaxSectors && std::find(all.begin(), all.end(), t) == all.end())
            all.push_back(t);
    };
    if (layout.whole) add({layout.whole->boot.heads, layout.whole->boot.sectors});
    if (const auto i = started_partition(layout); i && layout.partitions[*i].volume) {
        const auto& b = layout.partitions[*i].volume->boot;
        add({b.heads, b.sectors});
    }
    if (layout.table) add(*layout.table);
    for (const Tracks t : {Tracks{255, 63}, {240, 63}, {128, 63}, {64, 63}, {32, 63}, {16, 63}, {15, 63}, {64, 32}})
        add(t);
    return all;
}

void offer_pin(Diagnosis& d, const Subject& subject, const Trial& trial) {
    for (const std::set<Fix>& before : {std::set<Fix>{}, {Fix::kHidden}}) {
        if (!before.empty() && trial.helps(before, d.ways.front().attachment.geometry)) return;  // nothing to pin
        for (const Tracks& t : candidates(d.layout)) {
            const Geometry g =
                geometry::with_logical(subject.sectors, t.heads, t.sectors, d.ways.front().attachment.geometry);
            // --fix hidden does not depend on the geometry.
            const auto layout = trial.fixed(before, t);
            if (!layout || !Trial::starts(*layout, g)) continue;
            Cure c{"pin", "Pin the geometry that the disk was made under; the disk is not changed.", {}, {}};
            if (!before.empty())
                c.text = "Correct the hidden sectors, then pin the geometry that the disk was made under.",
                c.commands.push_back(fix_command(subject, before)), c.fixes = before;
            c.settings = settings_of(g);
            std::string line = "backplane run --hda " + quoted(subject.image);
            if (g.logical_given) line += " --firmware bios-256k.bin";
            for (const auto& [key, value] : properties(*c.settings))
                line += " --set drives.hda.geometry." + key + "=" + value;
            c.commands.push_back(line);
            std::string inner;
            for (const auto& [key, value] : properties(*c.settings))
                inner += (inner.empty() ? "" : ", ") + key + ": " + value;
            if (g.logical_given) c.yaml.push_back("firmware: bios-256k.bin");
            c.yaml.push_back("drives:");
            c.yaml.push_back("  hda:");
            c.yaml.push_back("    file: " + yaml_text(subject.image));
            c.yaml.push_back("    geometry: {" + inner + "}");
            d.cures.push_back(std::move(c));
            return;
        }
    }
}

void offer_fix(Diagnosis& d, const Subject& subject, const Trial& trial) {
    const Geometry& g = d.ways.front().attachment.geometry;
    static const std::array<std::set<Fix>, 7> ways{{{Fix::kHidden},
                                                    {Fix::kBpb},
                                                    {Fix::kBpb, Fix::kHidden},
                                                    {Fix::kTable},
                                                    {Fix::kHidden, Fix::kTable},
                                                    {Fix::kBpb, Fix::kTable},
                                                    {Fix::kBpb, Fix::kHidden, Fix::kTable}}};
    for (const auto& fixes : ways) {
        if (!trial.helps(fixes, g)) continue;
        Cure c{"fix",
               "Change the disk: " + named(fixes) + ". The old bytes are kept in a journal; --undo puts them back.",
               {fix_command(subject, fixes)},
               {}};
        c.fixes = fixes;
        d.cures.push_back(std::move(c));
        return;
    }
}

// What no geometry cures.
void offer_others(Diagnosis& d, const Subject& subject) {
    const Layout& l = d.layout;
    const Chain& chain = d.ways.front().chain;
    if (l.readable && l.signature && !l.whole && l.code.loader == Loader::kNothing && !l.partitions.empty() &&
        chain.partition)
        d.cures.push_back(
            {"code",
             "Write boot code into the first sector (446 bytes; the table stays), with Windows' own fixmbr, or "
             "with the Debian package mbr.",
             {"install-mbr " + quoted(subject.image)},
             {}});
    const auto active = std::count_if(l.partitions.begin(), l.partitions.end(),
                                      [](const Partition& p) { return p.number <= 4 && p.entry.active; });
    if (chain.result == Result::kFails && l.code.loader != Loader::kAsksBios && active != 1) {
        unsigned number = 0;
        for (const Partition& p : l.partitions)
            if (p.volume && p.number <= 4 && !number) number = p.number;
        if (number)
            d.cures.push_back({"activate",
                               "Make one partition active, the one with Windows' boot sector.",
                               {"sfdisk --activate " + quoted(subject.image) + " " + std::to_string(number)},
                               {}});
    }
    if (chain.placeholder)
        d.cures.push_back(
            {"code",
             "Write Windows' boot code into the partition, which now has a placeholder: from Windows' own CD "
             "(recovery console: fixboot), or the boot sectors of the saved disk.",
             {},
             {}});
}

std::string verdict(const Diagnosis& d) {
    const Chain& c = d.ways.front().chain;
    std::string text;
    switch (c.result) {
        case Result::kNothing: return "Nothing to start: " + c.why + ".";
        case Result::kFails: text = "Will not boot: " + c.why + "."; break;
        case Result::kStarts:
            text =
                "Boots, as far as table, boot sectors and geometry go: the boot code gets the sectors that it wants. "
                "(Whether the system then comes up cannot be seen from here.)";
            break;
    }
    if (c.placeholder)
        text += c.result == Result::kStarts ? " The boot sector is a placeholder, though: it says that the disk is not "
                                              "bootable, until boot code is "
                                              "written."
                                            : " (The boot sector is a placeholder that only prints a message; this is "
                                              "about the code of Windows XP in "
                                              "its place.)";
    if (c.assumed) text += " The boot code is not known here; it was taken to work like Windows XP's.";
    return text;
}

}  // namespace

geometry::Input Subject::input(std::span<const std::uint8_t> first) const {
    return {sectors, first, settings, policy, reader, header};
}

geometry::Settings settings_of(const Geometry& g) {
    if (g.logical_given) return {{}, {}, g.logical};
    return {g.physical, g.translation, {}};
}

Diagnosis diagnose(const Subject& subject) {
    Diagnosis d;
    d.layout = read_layout(subject.reader, subject.sectors);
    const std::span<const std::uint8_t> first(d.layout.first.data(), d.layout.readable ? d.layout.first.size() : 0);
    for (Attachment& a : attachments(subject.input(first))) {
        Chain chain = run(d.layout, int13_of(a.geometry));
        d.ways.push_back({std::move(a), std::move(chain)});
    }
    d.verdict = verdict(d);
    d.findings = findings(subject, d.layout, d.ways.front());
    if (d.result() == Result::kFails && !Trial::starts(d.layout, d.ways.front().attachment.geometry)) {
        const Trial trial(subject, d.layout);
        offer_pin(d, subject, trial);
        offer_fix(d, subject, trial);
    }
    offer_others(d, subject);
    return d;
}

}  // namespace backplane::doctor
