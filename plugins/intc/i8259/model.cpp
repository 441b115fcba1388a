#include "model.hpp"

namespace backplane::intc {
namespace {

constexpr unsigned kMaster = 0;
constexpr unsigned kSlave = 1;
constexpr unsigned kCascadePin = 2;
// Interrupts 0, 1, 2, 8 and 13 are edge triggered whatever the guest writes (82371SB, ELCR1 and ELCR2).
constexpr std::array<u8, 2> kElcrMask{0xf8, 0xde};

}  // namespace

const bp_intr I8259Pair::kIntr{sizeof(bp_intr),
                               [](void* i) { return static_cast<I8259Pair*>(i)->acknowledge(); },
                               [](void*) { return i64{-1}; },
                               [](void*, u64) { return bp_status{BP_ERR_UNSUPPORTED}; },
                               [](void*) { return u32{0}; },
                               [](void*, u32) {}};

I8259Pair::I8259Pair(const Slot& slot) : Device(slot) { chips_[kMaster].set_cascade_pins(1u << kCascadePin); }

void I8259Pair::describe(Schema<I8259Pair>& s) {
    s.doc(
        "Pair of 8259A interrupt controllers with edge/level control registers. The slave's INT is wired to the "
        "master's IR2. "
        "A CPU, or a local APIC in front of it, links to it for the acknowledge cycle (bp.intr/1).");
    s.ports<&I8259Pair::master_read, &I8259Pair::master_write>("master", 2, 1,
                                                               "command and mask port of the master, IR0-IR7");
    s.ports<&I8259Pair::slave_read, &I8259Pair::slave_write>("slave", 2, 1,
                                                             "command and mask port of the slave, IR8-IR15");
    s.ports<&I8259Pair::elcr_read, &I8259Pair::elcr_write>("elcr", 2, 1,
                                                           "edge/level control: a 1 makes the pin level triggered; "
                                                           "pins 0, 1, 2, 8 and 13 are always edge triggered");
    s.lines_in<&I8259Pair::ir>("ir", 16, "interrupt requests; ir2 is taken by the cascade and ignored");
    s.line_out("intr", &I8259Pair::intr_, "interrupt request to the CPU");
    s.offer(BP_INTR_ID, &kIntr);
    s.trace("irq", &I8259Pair::trace_, "request pins and acknowledge cycles");
}

void I8259Pair::ir(u32 pin, bool level) {
    if (pin == kCascadePin || pin >= 16) return;
    trace_("ir%u %d", pin, level);
    chips_[pin >> 3].set_pin(pin & 7, level);
    update();
}

void I8259Pair::update() {
    chips_[kMaster].set_pin(kCascadePin, chips_[kSlave].wants_service());
    intr_.set(chips_[kMaster].wants_service());
}

u64 I8259Pair::read(unsigned chip, u64 offset) {
    const u8 value = chips_[chip].read(offset & 1);
    update();  // a poll acknowledges
    return value;
}

void I8259Pair::write(unsigned chip, u64 offset, u64 value) {
    chips_[chip].write(offset & 1, static_cast<u8>(value));
    update();
}

void I8259Pair::elcr_write(u64 offset, u32 bytes, u64 value) {
    chips_[offset & 1].set_level_triggered(static_cast<u8>(value) & kElcrMask[offset & 1]);
    update();
}

i32 I8259Pair::acknowledge() {
    unsigned pin = chips_[kMaster].acknowledge();
    u8 vector = chips_[kMaster].vector(pin);
    // IR2 in service or not, a spurious 7 never equals the cascade pin.
    if (pin == kCascadePin) {
        pin = chips_[kSlave].acknowledge();
        vector = chips_[kSlave].vector(pin);
        pin += 8;
    }
    update();
    trace_("acknowledge ir%u vector %02x", pin, vector);
    return vector;
}

void I8259Pair::reset(Reset kind) {
    for (I8259& chip : chips_) {
        chip.reset();
        // The ELCR of pc-0.12 survives a system reset; firmware rewrites it.
        if (kind == Reset::kPowerOn) chip.set_level_triggered(0);
    }
    update();
}

void I8259Pair::state(StateVisitor& v) {
    v.each("chip", chips_, [](StateVisitor& visitor, I8259& chip) { chip.state(visitor); });
}

}  // namespace backplane::intc
