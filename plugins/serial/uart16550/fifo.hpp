// The 16-byte FIFOs of the 16550.
#pragma once

#include <array>

#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane::serial {

struct Character {
    u8 data = 0;
    u8 errors = 0;  // line status bits that belong to it
};

class Fifo {
  public:
    static constexpr u32 kDepth = 16;
    u32 size() const { return size_; }
    bool empty() const { return size_ == 0; }
    void clear() { size_ = 0; }
    const Character& front() const { return items_[first_]; }
    Character& front() { return items_[first_]; }
    bool push(Character c) {
        if (size_ == kDepth) return false;
        items_[(first_ + size_++) % kDepth] = c;
        return true;
    }
    Character pop() {
        const Character c = items_[first_];
        first_ = (first_ + 1) % kDepth, --size_;
        return c;
    }
    bool has_errors() const {
        for (u32 i = 0; i < size_; ++i)
            if (items_[(first_ + i) % kDepth].errors) return true;
        return false;
    }
    void state(StateVisitor& v) {
        v.each("item", items_,
               [](StateVisitor& visitor, Character& c) { visitor("data", c.data), visitor("errors", c.errors); });
        v("first", first_, {.max = kDepth - 1});
        v("size", size_, {.max = kDepth});
    }

  private:
    std::array<Character, kDepth> items_{};
    u32 first_ = 0;
    u32 size_ = 0;
};

}  // namespace backplane::serial
