// Under which geometry a partition table was written.
#include <algorithm>

#include "layout.hpp"

namespace backplane::doctor {

using geometry::kMaxLogicalHeads;
using geometry::kMaxSectors;

std::vector<Tracks> agreeing(const geometry::Entry& entry, std::uint64_t start, std::uint64_t count) {
    std::vector<Tracks> found;
    if (count == 0) return found;
    const std::uint64_t last = start + count - 1;
    for (std::uint32_t s = 1; s <= kMaxSectors; ++s)
        for (std::uint32_t h = 1; h <= kMaxLogicalHeads; ++h)
            if (geometry::stands_for(entry.first, start, h, s) && geometry::stands_for(entry.last, last, h, s))
                found.push_back({h, s});
    return found;
}

std::optional<Tracks> table_geometry(const std::vector<Partition>& partitions) {
    // Each geometry gets a vote from every entry that agrees with it, and less for what makes it likely.
    std::vector<int> votes((kMaxLogicalHeads + 1) * (kMaxSectors + 1));
    const auto likely = [](const Partition& p, const Tracks& t) {
        int points = 0;
        if (p.entry.last.heads + 1 == t.heads && p.entry.last.sectors == t.sectors) points += 3;
        if (p.volume && p.volume->boot.heads == t.heads && p.volume->boot.sectors == t.sectors) points += 2;
        if (t == Tracks{255, 63}) points += 1;
        return points;
    };
    for (const Partition& p : partitions)
        for (const Tracks& t : p.agreeing) votes[t.heads * (kMaxSectors + 1) + t.sectors] += 100 + likely(p, t);
    const auto best = std::max_element(votes.begin(), votes.end());
    // One entry that starts on the first track and ends beyond cylinder 1023 agrees with almost anything.
    if (*best == 0 || std::count(votes.begin(), votes.end(), *best) > 1) return {};
    const auto index = static_cast<std::uint32_t>(best - votes.begin());
    return Tracks{index / (kMaxSectors + 1), index % (kMaxSectors + 1)};
}

}  // namespace backplane::doctor
