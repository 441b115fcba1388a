// A set of 256 interrupt vectors: IRR, ISR and TMR.
#pragma once

#include <array>
#include <bit>

#include "backplane/types.hpp"

namespace backplane::intc::lapic {

struct Vectors {
    std::array<u32, 8> words{};
    bool test(u32 v) const { return (words[v >> 5 & 7] >> (v & 31)) & 1; }
    void set(u32 v) { words[v >> 5 & 7] |= 1u << (v & 31); }
    void clear(u32 v) { words[v >> 5 & 7] &= ~(1u << (v & 31)); }
    int highest() const {
        for (int i = 7; i >= 0; --i)
            if (words[static_cast<u32>(i)]) return i * 32 + 31 - std::countl_zero(words[static_cast<u32>(i)]);
        return -1;
    }
};

}  // namespace backplane::intc::lapic
