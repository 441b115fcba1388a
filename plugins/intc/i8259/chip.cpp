#include "chip.hpp"

namespace backplane::intc {
namespace {

// Initialization command words (data sheet, "Initialization Command Words").
constexpr u8 kIcw1 = 0x10;  // in a write with A0 = 0: this is ICW1
constexpr u8 kIcw1Single = 0x02;
constexpr u8 kIcw1NeedsIcw4 = 0x01;
constexpr u8 kIcw4SpecialFullyNested = 0x10;
constexpr u8 kIcw4AutoEoi = 0x02;
// Operation command words.
constexpr u8 kOcw3 = 0x08;  // in a write with A0 = 0: this is OCW3, else OCW2
constexpr u8 kOcw3SetSpecialMask = 0x60;
constexpr u8 kOcw3ClearSpecialMask = 0x40;
constexpr u8 kOcw3Poll = 0x04;
constexpr u8 kOcw3ReadRegister = 0x02;
constexpr u8 kPollRequest = 0x80;

enum Ocw2 : u8 {  // bits 7:5: R, SL, EOI
    kRotateAeoiClear = 0,
    kEoi = 1,
    kNothing = 2,
    kSpecificEoi = 3,
    kRotateAeoiSet = 4,
    kRotateEoi = 5,
    kSetPriority = 6,
    kRotateSpecificEoi = 7
};

constexpr u8 bit(unsigned n) { return static_cast<u8>(1u << n); }

}  // namespace

void I8259::set_pin(unsigned pin, bool level) {
    const u8 mask = bit(pin);
    if (level) {
        // The edge stays latched when the pin falls again before it is served. The data sheet would turn that into a
        // spurious interrupt; devices that pulse their line rely on the latch, as they do with every PC chip set.
        if (!(pins_ & mask)) latch_ |= static_cast<u8>(mask & ~cascade_);
        pins_ |= mask;
    } else {
        pins_ &= static_cast<u8>(~mask);
    }
}

int I8259::most_urgent(u8 set) const {
    for (unsigned i = 1; i <= 8; ++i)
        if (set & bit((lowest_ + i) & 7)) return static_cast<int>((lowest_ + i) & 7);
    return -1;
}

int I8259::pending() const {
    const int request = most_urgent(static_cast<u8>(irr() & ~imr_));
    if (request < 0) return -1;
    // In special mask mode a masked level that is in service holds nobody back.
    const int serving = most_urgent(static_cast<u8>(special_mask_ ? isr_ & ~imr_ : isr_));
    if (serving < 0) return request;
    const unsigned r = rank(static_cast<unsigned>(request)), s = rank(static_cast<unsigned>(serving));
    if (r < s) return request;
    // Special fully nested mode: a slave in service may interrupt again for a more urgent pin of its own.
    if (r == s && (icw4_ & kIcw4SpecialFullyNested) && (cascade_ & bit(static_cast<unsigned>(request)))) return request;
    return -1;
}

void I8259::take(unsigned pin) {
    latch_ &= static_cast<u8>(~bit(pin));
    if (icw4_ & kIcw4AutoEoi) {
        if (rotate_in_aeoi_) lowest_ = static_cast<u8>(pin);
    } else {
        isr_ |= bit(pin);
    }
}

unsigned I8259::acknowledge() {
    const int pin = pending();
    if (pin < 0) return 7;
    take(static_cast<unsigned>(pin));
    return static_cast<unsigned>(pin);
}

u8 I8259::read(bool a0) {
    if (poll_) {  // the read takes the place of the acknowledge cycle
        poll_ = false;
        const int pin = pending();
        if (pin < 0) return 7;
        take(static_cast<unsigned>(pin));
        return static_cast<u8>(kPollRequest | pin);
    }
    if (a0) return imr_;
    return read_isr_ ? isr_ : irr();
}

void I8259::write(bool a0, u8 value) {
    if (!a0) {
        if (value & kIcw1)
            initialise(value);
        else if (value & kOcw3)
            control(value);
        else
            operation(value);
        return;
    }
    switch (expect_) {
        case Expect::kNothing: imr_ = value; break;
        case Expect::kIcw2:
            base_ = value & 0xf8;
            expect_ = !(icw1_ & kIcw1Single)     ? Expect::kIcw3
                      : (icw1_ & kIcw1NeedsIcw4) ? Expect::kIcw4
                                                 : Expect::kNothing;
            break;
        case Expect::kIcw3:
            icw3_ = value;  // the wiring of the cascade is fixed on the board
            expect_ = (icw1_ & kIcw1NeedsIcw4) ? Expect::kIcw4 : Expect::kNothing;
            break;
        case Expect::kIcw4:
            icw4_ = value;
            expect_ = Expect::kNothing;
            break;
    }
}

void I8259::initialise(u8 icw1) {
    const u8 pins = pins_, level = level_, cascade = cascade_, base = base_;
    *this = I8259{};
    pins_ = pins, level_ = level, cascade_ = cascade, base_ = base;
    icw1_ = icw1;
    expect_ = Expect::kIcw2;
}

void I8259::operation(u8 ocw2) {
    const u8 pin = ocw2 & 7;
    // A non-specific EOI leaves masked levels alone in special mask mode.
    const int serving = most_urgent(static_cast<u8>(special_mask_ ? isr_ & ~imr_ : isr_));
    switch (ocw2 >> 5) {
        case kRotateAeoiClear: rotate_in_aeoi_ = false; break;
        case kRotateAeoiSet: rotate_in_aeoi_ = true; break;
        case kEoi:
        case kRotateEoi:
            if (serving < 0) break;
            isr_ &= static_cast<u8>(~bit(static_cast<unsigned>(serving)));
            if ((ocw2 >> 5) == kRotateEoi) lowest_ = static_cast<u8>(serving);
            break;
        case kSpecificEoi: isr_ &= static_cast<u8>(~bit(pin)); break;
        case kRotateSpecificEoi:
            isr_ &= static_cast<u8>(~bit(pin));
            lowest_ = pin;
            break;
        case kSetPriority: lowest_ = pin; break;
        case kNothing: break;
    }
}

void I8259::control(u8 ocw3) {
    if ((ocw3 & kOcw3SetSpecialMask) == kOcw3SetSpecialMask)
        special_mask_ = true;
    else if ((ocw3 & kOcw3SetSpecialMask) == kOcw3ClearSpecialMask)
        special_mask_ = false;
    poll_ = (ocw3 & kOcw3Poll) != 0;
    if (ocw3 & kOcw3ReadRegister) read_isr_ = (ocw3 & 1) != 0;
}

void I8259::reset() {
    const u8 pins = pins_, level = level_, cascade = cascade_;
    *this = I8259{};
    pins_ = pins, level_ = level, cascade_ = cascade;
}

void I8259::state(StateVisitor& v) {
    v("pins", pins_);
    v("latch", latch_);
    v("level", level_);
    v("isr", isr_);
    v("imr", imr_);
    v("base", base_);
    v("lowest", lowest_, {.max = 7});
    v("icw1", icw1_);
    v("icw3", icw3_);
    v("icw4", icw4_);
    v("expect", expect_, {.max = static_cast<u64>(Expect::kIcw4)});
    v("read_isr", read_isr_);
    v("poll", poll_);
    v("special_mask", special_mask_);
    v("rotate_in_aeoi", rotate_in_aeoi_);
}

}  // namespace backplane::intc
