#include "model.hpp"

namespace backplane::intc {
namespace {

// Memory-mapped registers and what they select (data sheet, section 3).
constexpr u64 kSelect = 0x00;
constexpr u64 kWindow = 0x10;
constexpr u8 kRegisterId = 0x00;
constexpr u8 kRegisterVersion = 0x01;
constexpr u8 kRegisterFirstEntry = 0x10;
constexpr u32 kVersion = 0x11 | (IoApic::kPins - 1) << 16;
// Redirection entry (section 3.2.4).
constexpr u64 kVector = 0xff;
constexpr unsigned kModeShift = 8;
constexpr u64 kLogical = 1u << 11;
constexpr u64 kDeliveryStatus = 1u << 12;
constexpr u64 kRemoteIrr = 1u << 14;
constexpr u64 kLevel = 1u << 15;
constexpr u64 kMasked = 1u << 16;
constexpr u64 kLowWritable = 0x1ffff & ~kDeliveryStatus & ~kRemoteIrr;
constexpr u64 kHighWritable = 0xff00'0000'0000'0000;
constexpr unsigned kDestinationShift = 56;

}  // namespace

const bp_apic_io IoApic::kIo{sizeof(bp_apic_io),
                             [](void* i, u32 vector) { static_cast<IoApic*>(i)->end_of_interrupt(vector); }};

void IoApic::describe(Schema<IoApic>& s) {
    s.doc(
        "I/O APIC with 24 pins. A high line is an asserted interrupt whatever polarity the guest programs, because the "
        "board's wires "
        "carry assertion, not voltage.");
    s.link("bus", &IoApic::bus_, BP_APIC_BUS_ID, "where interrupt messages go");
    s.memory<&IoApic::read, &IoApic::write>("registers", 0x1000, 1 | 2 | 4,
                                            "select register at 00h, data window at 10h");
    s.lines_in<&IoApic::pin>("in", kPins, "interrupt pins");
    s.trace("irq", &IoApic::trace_, "pins and messages");
}

bp_status IoApic::start() {
    bus_.call(&bp_apic_bus::join_io, &kIo, static_cast<void*>(this));
    return BP_OK;
}

u64 IoApic::read(u64 offset, u32 bytes) {
    const u64 place = offset & ~u64{3};
    const u32 value = place == kSelect ? select_ : place == kWindow ? read_register() : 0;
    return value >> (8 * (offset & 3));
}

// The select register has eight bits; the window is for whole registers only.
void IoApic::write(u64 offset, u32 bytes, u64 value) {
    if (offset == kSelect)
        select_ = static_cast<u8>(value);
    else if (offset == kWindow && bytes == 4)
        write_register(static_cast<u32>(value));
}

u32 IoApic::read_register() const {
    if (select_ == kRegisterId) return static_cast<u32>(id_) << 24;
    if (select_ == kRegisterVersion) return kVersion;
    const u32 n = select_ - kRegisterFirstEntry;
    if (select_ < kRegisterFirstEntry || n >= 2 * kPins) return 0;  // the arbitration id included
    return static_cast<u32>(n & 1 ? entries_[n / 2] >> 32 : entries_[n / 2]);
}

void IoApic::write_register(u32 value) {
    if (select_ == kRegisterId) id_ = value >> 24 & 0x0f;
    const u32 n = select_ - kRegisterFirstEntry;
    if (select_ < kRegisterFirstEntry || n >= 2 * kPins) return;
    u64& entry = entries_[n / 2];
    if (n & 1) {
        entry = (entry & ~kHighWritable) | (u64{value} << 32 & kHighWritable);
        return;
    }
    entry = (entry & ~kLowWritable) | (value & kLowWritable);
    // Edge entries have no Remote IRR; Linux switches a stuck level entry to edge and back to clear it.
    if (!(entry & kLevel)) entry &= ~kRemoteIrr;
    if (entry & kLevel) serve(n / 2);
}

void IoApic::pin(u32 number, bool level) {
    if (number >= kPins) return;
    const u32 bit = 1u << number;
    const bool rose = level && !(pins_ & bit);
    pins_ = level ? pins_ | bit : pins_ & ~bit;
    trace_("in%u %d", number, level);
    // An edge on a masked pin is lost, not held (section 3.2.4, "Interrupt Mask").
    if (rose) serve(number);
}

void IoApic::serve(u32 number) {
    u64& entry = entries_[number];
    if (entry & kMasked) return;
    if (entry & kLevel) {
        if (!(pins_ & 1u << number) || (entry & kRemoteIrr)) return;
        // Only interrupts with a vector are ended by an EOI.
        const u32 mode = entry >> kModeShift & 7;
        if (mode == BP_APIC_FIXED || mode == BP_APIC_LOWEST_PRIORITY) entry |= kRemoteIrr;
    }
    send(entry);
}

void IoApic::send(u64 entry) {
    bp_apic_message m{};
    m.size = sizeof m;
    m.mode = entry >> kModeShift & 7;
    m.vector = static_cast<u32>(entry & kVector);
    m.logical = (entry & kLogical) != 0;
    m.destination = static_cast<u32>(entry >> kDestinationShift);
    m.level_triggered = (entry & kLevel) != 0;
    m.assert_level = 1;
    trace_("vector %02x mode %u to %s%02x", m.vector, m.mode, m.logical ? "logical " : "", m.destination);
    bus_.call(&bp_apic_bus::deliver, &m, static_cast<const void*>(nullptr));
}

void IoApic::end_of_interrupt(u32 vector) {
    for (u32 i = 0; i < kPins; ++i) {
        if (!(entries_[i] & kRemoteIrr) || (entries_[i] & kVector) != vector) continue;
        entries_[i] &= ~kRemoteIrr;
        serve(i);  // the line may still be high
    }
}

void IoApic::reset(Reset) {
    select_ = id_ = 0;
    entries_.fill(kMasked);
}

void IoApic::state(StateVisitor& v) {
    v("select", select_);
    v("id", id_);
    v("pins", pins_, {.max = (1u << kPins) - 1});
    v("entries", entries_);
}

}  // namespace backplane::intc
