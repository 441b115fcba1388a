#include "model.hpp"

namespace backplane {
namespace {

constexpr u8 kHard = 1u << 1;   // SRST: hard rather than soft reset
constexpr u8 kReset = 1u << 2;  // RCPU: its rise starts the reset

}  // namespace

void ResetControl::describe(Schema<ResetControl>& s) {
    s.doc("Reset control register: the rise of bit 2 resets the machine");
    s.ports<&ResetControl::read, &ResetControl::write>("port", 1, 1, "bit 1 hard reset, bit 2 reset now");
}

void ResetControl::reset(Reset) { value_ = 0; }
void ResetControl::state(StateVisitor& v) { v("value", value_, {.max = kHard | kReset}); }

u64 ResetControl::read(u64, u32) { return value_; }

// A soft reset differs only in what the processor keeps; the whole machine is reset for both.
void ResetControl::write(u64, u32, u64 value) {
    const bool rises = (value & kReset) && !(value_ & kReset);
    value_ = static_cast<u8>(value) & (kHard | kReset);
    if (rises)
        request(
            BP_REQUEST_RESET, 0,
            value_ & kHard ? "hard reset by the reset control register" : "soft reset by the reset control register");
}

}  // namespace backplane
