// Where a geometry comes from: the policies, and the search for a drive that shows a wanted logical geometry.
#include <algorithm>

#include "boot_sectors.hpp"
#include "geometry.hpp"

namespace backplane::geometry {
namespace {

using std::uint32_t;
using std::uint64_t;

// Interrupt 13h has ten bits for the cylinder.
constexpr uint32_t kInt13Cylinders = 1024;
// Largest cylinders x heads that bit shifting brings below 1024 cylinders with up to 128 heads.
constexpr uint32_t kLargeLimit = 131072;

Translation automatic(const Chs& p) {
    const bool fits = p.cylinders <= kInt13Cylinders && p.heads <= kMaxHeads && p.sectors <= kMaxSectors;
    return fits ? Translation::kNone : Translation::kLba;
}

std::string automatic_reason(const Chs& p) {
    return automatic(p) == Translation::kNone
               ? "at most 1024 cylinders need no translation"
               : "more than 1024 cylinders and no partition table that says otherwise need LBA translation";
}

Geometry finished(Geometry g) {
    g.logical = logical(g.translation, g.physical, g.sectors);
    return g;
}

Geometry qemu_0_12(const Input& input) {
    Geometry g;
    g.sectors = input.sectors;
    unsigned entry = 0;
    if (const auto guess = guess_from_partition_table(input.sectors, input.first_sector, &entry); !guess) {
        g.physical = default_physical(input.sectors);
        g.translation = automatic(g.physical);
        const bool readable = input.first_sector.size() >= kSectorBytes;
        g.reason = std::string(readable ? "no usable partition table" : "the first sector could not be read") +
                   ", so 16 heads and 63 sectors; " + automatic_reason(g.physical);
    } else {
        const std::string found = "partition " + std::to_string(entry) + " ends at head " +
                                  std::to_string(guess->heads - 1) + ", sector " + std::to_string(guess->sectors);
        if (guess->heads > kMaxHeads) {
            // The table was written under a translating BIOS; only the fact counts, not the number of heads.
            g.physical = default_physical(input.sectors);
            const bool large = g.physical.cylinders * g.physical.heads <= kLargeLimit;
            g.translation = large ? Translation::kLarge : Translation::kLba;
            g.reason = found + ", more heads than a drive has: written under a translating BIOS; " +
                       (large ? "at most 8192 cylinders: bit shift" : "more than 8192 cylinders: LBA");
        } else {
            g.physical = *guess;
            g.translation = Translation::kNone;
            g.reason = found + ": written without translation";
        }
    }
    return finished(g);
}

bool shows(const Geometry& g, uint32_t heads, uint32_t sectors) {
    return g.logical.heads == heads && g.logical.sectors == sectors;
}

// The drive that the image's header describes, and a translation of it that yields what the boot sectors expect if
// there is one.
Geometry from_header(const Input& input, const Chs& header, const std::optional<Expectation>& wanted) {
    Geometry g;
    g.sectors = input.sectors;
    g.reason = "the image's header says " + text(header);
    if (!check({header}).empty()) {
        // More heads than a drive has: the geometry that a BIOS made of it.
        g = qemu_0_12(input);
        const std::string reason = "the image's header says " + text(header) + ", more than a drive has";
        g = with_logical(input.sectors, header.heads, header.sectors, g);
        g.reason = reason + (g.logical_given ? ": INT 13h is told" : ": a translation yields it");
        return g;
    }
    g.physical = header;
    g.translation = automatic(header);
    g = finished(g);
    if (wanted && wanted->usable && !shows(g, wanted->heads, wanted->sectors)) {
        for (const auto t : {Translation::kNone, Translation::kLba, Translation::kLarge, Translation::kRechs}) {
            Geometry other = g;
            other.translation = t;
            other = finished(other);
            if (!shows(other, wanted->heads, wanted->sectors)) continue;
            other.reason += "; " + wanted->text + ", which " + std::string(name(t)) + " translation yields";
            return other;
        }
    }
    g.reason += "; " + automatic_reason(g.physical);
    return g;
}

Geometry automatic_policy(const Input& input) {
    const auto wanted = expectation(input.reader, input.sectors);
    if (input.header && input.header->cylinders && plausible(input.header->heads, input.header->sectors))
        return from_header(input, *input.header, wanted);
    Geometry g = qemu_0_12(input);
    if (!wanted) {
        g.reason = "no NTFS or FAT boot sector; " + g.reason;
        return g;
    }
    if (!wanted->agrees) {
        g.reason = wanted->text + ", with which the partition table does not agree, so by table and size; " + g.reason;
        return g;
    }
    const std::string agreed = wanted->text + ", and the partition table agrees";
    const std::string by_table = g.reason;
    g = with_logical(input.sectors, wanted->heads, wanted->sectors, g);
    g.reason = agreed + (g.logical_given        ? "; no translation yields it, so INT 13h is told"
                         : g.reason == by_table ? "; " + by_table
                                                : "; " + g.reason);
    return g;
}

Geometry guess(const Input& input) {
    return input.policy == Policy::kAuto ? automatic_policy(input) : qemu_0_12(input);
}

bool same(const Geometry& a, const Geometry& b) {
    return a.physical == b.physical && a.translation == b.translation && a.logical == b.logical;
}

}  // namespace

Geometry with_logical(uint64_t total, uint32_t heads, uint32_t sectors, const Geometry& preferred) {
    if (shows(preferred, heads, sectors)) return preferred;
    std::optional<Geometry> best;
    const auto consider = [&](const Chs& physical, Translation t) {
        Geometry g;
        g.sectors = total, g.physical = physical, g.translation = t;
        g = finished(g);
        if (!shows(g, heads, sectors)) return;
        // Of two, the one that lets programs which know only CHS reach more of the disk.
        const auto reach = [](const Geometry& x) {
            return uint64_t{x.physical.cylinders} * x.physical.heads * x.physical.sectors;
        };
        if (!best || reach(g) > reach(*best)) best = g;
    };
    const auto cylinders = [total](uint64_t track) {
        return static_cast<uint32_t>(std::clamp<uint64_t>(total / track, 1, kMaxCylinders));
    };
    if (heads >= 1 && heads <= kMaxHeads && sectors >= 1 && sectors <= kMaxSectors)
        consider({cylinders(uint64_t{heads} * sectors), heads, sectors}, Translation::kNone);
    if (!best)
        for (const auto t : {Translation::kLba, Translation::kLarge, Translation::kRechs})
            consider(default_physical(total), t);
    if (!best && sectors >= 1 && sectors <= kMaxSectors)
        for (uint32_t h = 1; h <= kMaxHeads; ++h)
            for (const auto t : {Translation::kLarge, Translation::kRechs})
                consider({cylinders(uint64_t{h} * sectors), h, sectors}, t);
    if (best) {
        best->reason = "a drive of " + text(best->physical) + " with translation " +
                       std::string(name(best->translation)) + " shows it";
        return *best;
    }
    Geometry g = preferred;
    const uint64_t cylinder = std::max<uint64_t>(uint64_t{heads} * sectors, 1);
    g.logical = {static_cast<uint32_t>(std::clamp<uint64_t>(total / cylinder, 1, kInt13Cylinders)), heads, sectors};
    g.logical_given = true;
    g.reason = "no translation yields it, so INT 13h is told";
    return g;
}

Geometry resolve(const Input& input) {
    const Settings& given = input.settings;
    const bool any = given.chs || given.translation || given.logical;
    Geometry g;
    g.sectors = input.sectors;
    if (given.chs) {
        g.physical = *given.chs;
        g.translation = automatic(g.physical);
        g.reason = "cylinders, heads and sectors were given; " + automatic_reason(g.physical);
        g = finished(g);
    } else {
        g = guess(input);
    }
    if (given.translation) {
        g.translation = *given.translation;
        g.logical_given = false;
        g.reason += "; translation " + std::string(name(g.translation)) + " was given";
        g = finished(g);
    }
    if (given.logical) {
        g.logical = *given.logical;
        g.logical.cylinders = std::min(g.logical.cylinders, kInt13Cylinders);  // as the firmware does
        g.logical_given = true;
        g.reason += "; the logical geometry was given";
    }
    if (any) {
        const Geometry free = guess(input);
        if (!same(free, g))
            g.otherwise = "without these settings policy " + std::string(name(input.policy)) + " would now say " +
                          "physical " + text(free.physical) + ", translation " + std::string(name(free.translation)) +
                          ", logical " + text(free.logical) + " (" + free.reason + ")";
    }
    return g;
}

}  // namespace backplane::geometry
