#include "repair.hpp"

#include <algorithm>

#include "boot_chain.hpp"

namespace backplane::doctor {
namespace {

using std::uint32_t;
using std::uint64_t;
using std::uint8_t;

void put(Sector& s, std::size_t at, uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) s[at + i] = static_cast<uint8_t>(value >> 8 * i);
}

std::string change(const std::string& what, uint64_t lba, const std::string& field, uint64_t from, uint64_t to) {
    return what + " (sector " + std::to_string(lba) + "): " + field + " " + std::to_string(from) + " -> " +
           std::to_string(to);
}

// One boot sector, or the copy of it.
void patch(Plan& plan, const std::string& what, uint64_t lba, const Sector& before, const std::set<Fix>& fixes,
           uint64_t start, const Tracks& target) {
    const auto boot = geometry::boot_sector(before);
    if (!boot) return;
    Write w{lba, what, before, before};
    if (fixes.contains(Fix::kBpb)) {
        if (boot->sectors != target.sectors)
            plan.changes.push_back(change(what, lba, "sectors per track (18h)", boot->sectors, target.sectors));
        if (boot->heads != target.heads)
            plan.changes.push_back(change(what, lba, "heads (1Ah)", boot->heads, target.heads));
        put(w.after, 0x18, target.sectors, 2), put(w.after, 0x1a, target.heads, 2);
    }
    if (fixes.contains(Fix::kHidden)) {
        if (boot->hidden != start)
            plan.changes.push_back(change(what, lba, "hidden sectors (1Ch)", boot->hidden, start));
        put(w.after, 0x1c, start, 4);
    }
    if (w.after != w.before) plan.writes.push_back(std::move(w));
}

void put_chs(Sector& s, std::size_t at, uint64_t lba, const Tracks& t) {
    geometry::Chs c = geometry::address(lba, t.heads, t.sectors);
    if (c.cylinders > 1023) c = {1023, t.heads - 1, t.sectors};
    s[at] = static_cast<uint8_t>(c.heads);
    s[at + 1] = static_cast<uint8_t>(c.sectors | (c.cylinders >> 8) << 6);
    s[at + 2] = static_cast<uint8_t>(c.cylinders);
}

void patch_table(Plan& plan, const Layout& layout, const Tracks& target) {
    Write w{0, "partition table", layout.first, layout.first};
    for (const Partition& p : layout.partitions) {
        if (p.number > 4 || p.entry.type == 0xee || p.count == 0) continue;
        const std::size_t at = 0x1be + 16 * (p.number - 1);
        const auto before = w.after;
        put_chs(w.after, at + 1, p.start, target);
        put_chs(w.after, at + 5, p.end() - 1, target);
        if (before == w.after) continue;
        const auto now = geometry::partition_table(w.after)[p.number - 1];
        plan.changes.push_back("partition table: entry " + std::to_string(p.number) + " " + text(p.entry.first) +
                               " - " + text(p.entry.last) + " -> " + text(now.first) + " - " + text(now.last));
    }
    if (w.after != w.before) plan.writes.push_back(std::move(w));
}

}  // namespace

std::string_view name(Fix fix) {
    switch (fix) {
        case Fix::kBpb: return "bpb";
        case Fix::kHidden: return "hidden";
        case Fix::kTable: return "table";
    }
    return "";
}

std::optional<Fix> fix_of(std::string_view text) {
    for (const Fix f : {Fix::kBpb, Fix::kHidden, Fix::kTable})
        if (name(f) == text) return f;
    return {};
}

Plan plan(const Layout& layout, const geometry::Reader& reader, const std::set<Fix>& fixes,
          std::optional<unsigned> partition, const Tracks& target) {
    Plan plan;
    const auto refuse = [](std::string why) {
        Plan none;
        none.refused = std::move(why);
        return none;
    };
    if (fixes.contains(Fix::kTable)) {
        if (!layout.signature || layout.whole) return refuse("there is no partition table");
        patch_table(plan, layout, target);
    }
    if (!fixes.contains(Fix::kBpb) && !fixes.contains(Fix::kHidden)) return plan;

    const Volume* volume = nullptr;
    uint64_t start = 0;
    std::string which = "the volume";
    if (layout.whole) {
        volume = &*layout.whole;
    } else {
        const Partition* p = nullptr;
        if (partition) {
            for (const Partition& candidate : layout.partitions)
                if (candidate.number == *partition) p = &candidate;
            if (!p) return refuse("there is no partition " + std::to_string(*partition));
        } else if (const auto index = started_partition(layout)) {
            p = &layout.partitions[*index];
        } else {
            return refuse("no partition is active; say which one is meant (--partition)");
        }
        which = "partition " + std::to_string(p->number);
        if (!p->volume) return refuse(which + " does not begin with an NTFS or FAT boot sector");
        if (p->number > 4 && fixes.contains(Fix::kHidden))
            return refuse(which +
                          " is a logical one: its hidden sectors count from its own table, and nothing is started "
                          "from there");
        volume = &*p->volume, start = p->start;
    }
    if (volume->boot.file_system == geometry::FileSystem::kExfat)
        return refuse("exFAT boot sectors hold no heads and sectors");
    patch(plan, "boot sector of " + which, start, volume->raw, fixes, start, target);
    if (volume->backup && volume->backup->present) {
        Sector copy{};
        if (!reader(volume->backup->lba, copy)) return refuse("the copy of the boot sector cannot be read");
        patch(plan, "copy of the boot sector of " + which, volume->backup->lba, copy, fixes, start, target);
    }
    return plan;
}

geometry::Reader after(const geometry::Reader& reader, const std::vector<Write>& writes) {
    return [reader, writes](uint64_t lba, std::span<uint8_t> bytes) {
        if (!reader(lba, bytes)) return false;
        for (const Write& w : writes)
            if (w.lba >= lba && (w.lba - lba + 1) * geometry::kSectorBytes <= bytes.size())
                std::copy(w.after.begin(), w.after.end(),
                          bytes.begin() + static_cast<std::ptrdiff_t>((w.lba - lba) * geometry::kSectorBytes));
        return true;
    };
}

}  // namespace backplane::doctor
