// Random numbers that are the same on every host, with a liking for the values at which devices break.
#pragma once

#include "backplane/testkit/board.hpp"

namespace backplane::testkit {

class Random {
  public:
    explicit Random(u64 seed) : state_(seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull) {
        if (!state_) state_ = 1;
    }
    // xorshift64*
    u64 next() {
        state_ ^= state_ >> 12, state_ ^= state_ << 25, state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1dull;
    }
    // 0 ... n - 1
    u64 below(u64 n) { return n ? (next() >> 16) % n : 0; }
    u32 small(u32 n) { return static_cast<u32>(below(n)); }
    bool one_in(u64 n) { return below(n) == 0; }
    template <class List>
    auto& pick(List& list) {
        return list[below(std::size(list))];
    }

    // What a hostile guest writes: limits, single bits, small numbers, addresses of memory, noise.
    u64 value(u32 bytes) {
        const u64 mask = Board::ones(bytes);
        switch (below(10)) {
            case 0: return 0;
            case 1: return mask;
            case 2: return (u64{1} << below(8 * bytes)) & mask;
            case 3: return (mask >> 1) + below(2);
            case 4: return below(16) & mask;
            case 5: return below(256) & mask;
            case 6: return (below(1 << 20) & ~u64{3}) & mask;
            default: return next() & mask;
        }
    }
    void fill(void* data, u64 size) {
        auto* out = static_cast<u8*>(data);
        for (; size >= 8; size -= 8, out += 8) {
            const u64 v = next();
            std::memcpy(out, &v, 8);
        }
        for (; size; --size) *out++ = static_cast<u8>(next() >> 32);
    }

  private:
    u64 state_;
};

}  // namespace backplane::testkit
