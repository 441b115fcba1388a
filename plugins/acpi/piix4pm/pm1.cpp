// ACPI fixed registers: PM1 events, sleep control and the power management timer (82371AB data sheet, 7.2;
// ACPI 1.0, 4.7).
#include "model.hpp"

namespace backplane {
namespace {

constexpr u64 kStatus = 0x00;   // PMSTS
constexpr u64 kEnable = 0x02;   // PMEN
constexpr u64 kControl = 0x04;  // PMCNTRL
constexpr u64 kTimer = 0x08;    // PMTMR, 32 bits

// PMSTS, PMEN
constexpr u16 kTimerOverflow = 1u << 0;
constexpr u16 kPowerButton = 1u << 8;
constexpr u16 kWake = 1u << 15;
constexpr u16 kInterrupting = 0x0521;  // timer, global lock, power button, real-time clock

// PMCNTRL
constexpr u16 kSleepEnable = 1u << 13;  // write-only
constexpr u32 kSleepTypeShift = 10;
constexpr u32 kSleepOff = 0;
constexpr u32 kSleepRam = 1;

__extension__ using Wide = unsigned __int128;
constexpr u64 kFrequency = 3579545;
constexpr u64 kTimerMask = 0xffffff;
constexpr u64 kHalfPeriod = 0x800000;  // bit 23 toggles this often
constexpr u64 kSecond = 1'000'000'000;

}  // namespace

u64 Piix4Pm::ticks() const { return static_cast<u64>(static_cast<Wide>(now()) * kFrequency / kSecond); }

// The status bit follows the counter only when somebody looks, or by the timer while it may interrupt.
void Piix4Pm::latch_overflow() {
    const u64 t = ticks();
    const u64 soonest = (t / kHalfPeriod + 1) * kHalfPeriod;
    // 0 at power-on; a later one than the next toggle could only come from a bad snapshot.
    if (next_overflow_ == 0 || next_overflow_ > soonest) next_overflow_ = soonest;
    if (t < next_overflow_) return;
    pm_status_ |= kTimerOverflow;
    next_overflow_ = soonest;
}

void Piix4Pm::timer_overflows(i64) { update_sci(); }

bool Piix4Pm::sci_level() const {
    return (pm_status_ & pm_enable_ & kInterrupting) || (gpe_[0] & gpe_[2]) || (gpe_[1] & gpe_[3]);
}

void Piix4Pm::update_sci() {
    latch_overflow();
    if ((pm_enable_ & kTimerOverflow) && !(pm_status_ & kTimerOverflow)) {
        const auto when = static_cast<Wide>(next_overflow_) * kSecond;
        timer_.arm(static_cast<i64>((when + kFrequency - 1) / kFrequency));
    } else {
        timer_.cancel();
    }
    sci_.set(sci_level());
}

u16 Piix4Pm::pm_word(u64 offset) {
    switch (offset) {
        case kStatus: update_sci(); return pm_status_;
        case kEnable: return pm_enable_;
        case kControl: return pm_control_;
        case kTimer: return static_cast<u16>(ticks() & 0xffff);
        case kTimer + 2: return static_cast<u16>((ticks() & kTimerMask) >> 16);
        default: return 0;
    }
}

u64 Piix4Pm::pm_read(u64 offset, u32 bytes) {
    // One sample of the counter for all its bytes.
    if (offset == kTimer && bytes == 4) return ticks() & kTimerMask;
    u64 value = 0;
    for (u32 i = 0; i < bytes; ++i) {
        const u64 at = offset + i;
        value |= static_cast<u64>(pm_word(at & ~u64{1}) >> (at & 1 ? 8 : 0) & 0xff) << (8 * i);
    }
    return value;
}

void Piix4Pm::pm_write(u64 offset, u32 bytes, u64 value) {
    // Whole words at a time: what a guest writes together must act together.
    for (u64 word = offset & ~u64{1}; word < offset + bytes; word += 2) {
        u16 bits = 0, mask = 0;
        for (u32 half = 0; half < 2; ++half) {
            const u64 at = word + half;
            if (at < offset || at >= offset + bytes) continue;
            mask = static_cast<u16>(mask | 0xff << (8 * half));
            bits = static_cast<u16>(bits | (value >> (8 * (at - offset)) & 0xff) << (8 * half));
        }
        pm_write_word(word, bits, mask);
    }
}

void Piix4Pm::pm_write_word(u64 offset, u16 value, u16 mask) {
    const auto merged = [&](u16 old) { return static_cast<u16>((old & ~mask) | (value & mask)); };
    switch (offset) {
        case kStatus:
            latch_overflow();
            pm_status_ &= static_cast<u16>(~(value & mask));
            update_sci();
            break;
        case kEnable:
            pm_enable_ = merged(pm_enable_);
            update_sci();
            break;
        case kControl:
            pm_control_ = merged(pm_control_) & static_cast<u16>(~kSleepEnable);
            if (value & mask & kSleepEnable) sleep(pm_control_ >> kSleepTypeShift & 7);
            break;
        default: break;  // GLBCTL and the rest: nothing that a guest depends on
    }
}

void Piix4Pm::sleep(u32 type) {
    switch (type) {
        case kSleepOff: request(BP_REQUEST_POWEROFF, 0, "the guest powered the machine off (ACPI)"); break;
        case kSleepRam:
            // There is nothing to wait for: the machine wakes at once, by the power button.
            pm_status_ |= kWake | kPowerButton;
            if (nvram_) nvram_->set(nvram_.instance(), resume_register_, resume_code_);
            request(BP_REQUEST_RESET, 0, "suspend to RAM");
            break;
        default: log_guest("sleep type %u is not one of this machine's", type); break;
    }
}

void Piix4Pm::power_button(bool level) {
    if (level) press();
}

// The button is heard only by an operating system that has enabled its event.
int Piix4Pm::press() {
    if (!(pm_enable_ & kPowerButton)) return 0;
    pm_status_ |= kPowerButton;
    update_sci();
    return 1;
}

}  // namespace backplane
