#include "kernel/space/claims.hpp"

#include <algorithm>

namespace backplane::kernel {

std::uint32_t Claims::add(Claim claim) {
    claim.id = next_++;
    if (claim.region) {
        claim.flags = 0;
        if (claim.region->read) claim.flags |= BP_MAP_READ;
        if (claim.region->write) claim.flags |= BP_MAP_WRITE;
    }
    const auto at =
        std::find_if(claims_.begin(), claims_.end(), [&](const Claim& c) { return c.priority < claim.priority; });
    return claims_.insert(at, std::move(claim))->id;
}

void Claims::remove(std::uint32_t id) {
    std::erase_if(claims_, [id](const Claim& c) { return c.id == id; });
}

Claim* Claims::find(std::uint32_t id) {
    for (Claim& c : claims_)
        if (c.id == id) return &c;
    return nullptr;
}

const Claim* Claims::conflict(const Claim& claim) const {
    const bool reads = claim.region && claim.region->read, writes = claim.region && claim.region->write;
    for (const Claim& c : claims_) {
        if (!c.fixed || !c.region || !claim.region || c.last() < claim.base || claim.last() < c.base) continue;
        const bool same_width = c.region->widths & claim.region->widths;
        if (same_width && ((reads && c.region->read) || (writes && c.region->write))) return &c;
    }
    return nullptr;
}

}  // namespace backplane::kernel
