// Claims of one address space: who answers where, decided by priority for each direction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backplane/abi/cpu.h"
#include "kernel/space/region.hpp"

namespace backplane::kernel {

struct Claim {
    std::uint32_t id = 0;
    std::uint64_t base = 0;
    std::uint64_t size = 0;
    std::int32_t priority = 0;
    bool fixed = false;        // claimed by the board file: overlapping another fixed claim is an error at load
    Region* region = nullptr;  // registers, or
    std::uint64_t ram = 0;     // offset in guest memory if region is nullptr
    std::uint32_t flags = 0;   // BP_MAP_* for memory; for registers derived from the handlers
    std::string place;         // "pc-0.12.yaml:44" of a fixed claim

    std::uint64_t last() const { return base + (size - 1); }
    bool reads() const { return flags & (BP_MAP_READ | BP_MAP_DROP_READ); }
    bool writes() const { return flags & (BP_MAP_WRITE | BP_MAP_DROP_WRITE); }
    bool seen_by(std::uint32_t view) const {  // a BP_VIEW_*
        if (flags & BP_MAP_SMM_CODE) return view == BP_VIEW_SMM_CODE;
        return !(flags & BP_MAP_SMM) || view != BP_VIEW_NORMAL;
    }
};

// An ordered set of claims. Equal priorities: the older claim wins.
class Claims {
  public:
    std::uint32_t add(Claim claim);
    void remove(std::uint32_t id);
    Claim* find(std::uint32_t id);
    // A fixed claim that overlaps `claim` in a direction and an access width, or nullptr.
    const Claim* conflict(const Claim& claim) const;
    const std::vector<Claim>& all() const { return claims_; }  // highest priority first

  private:
    std::vector<Claim> claims_;
    std::uint32_t next_ = 1;
};

}  // namespace backplane::kernel
