#include "model.hpp"

#include <algorithm>

namespace backplane::rtc {
namespace {

__extension__ using u128 = unsigned __int128;

// Register A (data sheet, "Register A").
constexpr u8 kUpdateInProgress = 0x80;
constexpr u8 kDividerBits = 0x70;
constexpr u8 kDivider32768 = 0x20;
constexpr u8 kRateBits = 0x0f;
// Register B.
constexpr u8 kSet = 0x80;
constexpr u8 kPeriodicEnable = 0x40;
constexpr u8 kAlarmEnable = 0x20;
constexpr u8 kUpdateEnable = 0x10;
constexpr u8 kSquareWaveEnable = 0x08;
constexpr u8 kBinary = 0x04;
constexpr u8 k24Hours = 0x02;
constexpr u8 kDaylightSaving = 0x01;
// Register C; the enables of register B have the same places.
constexpr u8 kIrqFlag = 0x80;
constexpr u8 kPeriodicFlag = 0x40;
constexpr u8 kAlarmFlag = 0x20;
constexpr u8 kUpdateFlag = 0x10;
// Register D.
constexpr u8 kValidRam = 0x80;

constexpr u64 kCyclesPerSecond = 32768;
constexpr unsigned kSecondShift = 15;
constexpr u64 kNanoseconds = 1'000'000'000;
// UIP rises 244 us before an update, which takes 1984 us (data sheet, "Update Cycle"): 73 cycles, rounded down.
constexpr u64 kUpdateCycles = 73;

}  // namespace

const bp_nvram Mc146818::kNvram{
    sizeof(bp_nvram), [](void* i, u32 index) { return static_cast<Mc146818*>(i)->nvram_get(index); },
    [](void* i, u32 index, u8 value) { static_cast<Mc146818*>(i)->nvram_set(index, value); }};

void Mc146818::describe(Schema<Mc146818>& s) {
    s.doc(
        "MC146818A real-time clock with 128 bytes of battery-backed RAM. Starts at the machine's start time (UTC); its "
        "contents "
        "survive every reset. Offers the RAM (bp.nvram/1) to the board's factory setting.");
    s.property("century", &Mc146818::century_,
               {"RAM byte that holds the century in BCD, 0 for none", "0x32", false, {}, 0, 127});
    s.property("century_copy", &Mc146818::century_copy_,
               {"second such byte (PS/2), 0 for none", "0x37", false, {}, 0, 127});
    s.ports<&Mc146818::read, &Mc146818::write>("ports", 2, 1, "index (write only, bit 7 is not decoded) and data");
    s.line_in<&Mc146818::inhibit>("inhibit", "while high the interrupt line is not raised (HPET legacy replacement)");
    s.line_out("irq", &Mc146818::irq_, "interrupt request, high until register C is read");
    s.timer<&Mc146818::expired>("event", &Mc146818::timer_);
    s.offer(BP_NVRAM_ID, &kNvram);
}

bp_status Mc146818::start() {
    u32 century = 0;
    const Time t = from_epoch(slot().clock().start_time(slot().self()), century);
    write_time(ram_.data(), t, format());
    for (const u32 place : {century_, century_copy_})
        if (place >= kFirstFree) ram_[place] = encode_number(century, {false, true});
    origin_ = now();
    return BP_OK;
}

Format Mc146818::format() const { return {(b_ & kBinary) != 0, (b_ & k24Hours) != 0}; }

bool Mc146818::dividing() const { return (a_ & kDividerBits) == kDivider32768; }

u64 Mc146818::cycle_at(i64 ns) const {
    return ns <= origin_ ? 0 : static_cast<u64>(static_cast<u128>(ns - origin_) * kCyclesPerSecond / kNanoseconds);
}

i64 Mc146818::time_of(u64 cycle) const {
    return origin_ +
           static_cast<i64>((static_cast<u128>(cycle) * kNanoseconds + kCyclesPerSecond - 1) / kCyclesPerSecond);
}

// Periodic events come every 2^shift cycles; 0 means none (data sheet, "Periodic Interrupt Rate").
unsigned Mc146818::periodic_shift() const {
    const unsigned rate = a_ & kRateBits;
    return rate == 0 ? 0 : rate <= 2 ? rate + 6 : rate - 1;
}

// Accounts for all that happened since the last look. Nothing in here depends on how often that is.
void Mc146818::synchronise() {
    if (!dividing()) return;
    const u64 cycle = cycle_at(now()), before = last_cycle_;
    if (cycle <= before) return;
    last_cycle_ = cycle;
    const unsigned shift = periodic_shift();
    if (shift && (cycle >> shift) != (before >> shift)) c_ |= kPeriodicFlag;
    const u64 seconds = (cycle >> kSecondShift) - (before >> kSecondShift);
    if (seconds && updating()) pass_seconds(seconds);
}

void Mc146818::pass_seconds(u64 seconds) {
    Time t = read_time(ram_.data(), format());
    c_ |= kUpdateFlag;
    const u64 alarm = seconds_to_alarm(ram_.data(), t, format());
    if (alarm && alarm <= seconds) c_ |= kAlarmFlag;
    const u32 centuries = add_seconds(t, seconds);
    write_time(ram_.data(), t, format());
    if (!centuries) return;
    constexpr Format kBcd{false, true};
    for (const u32 place : {century_, century_copy_})
        if (place >= kFirstFree)
            ram_[place] = encode_number((decode_number(ram_[place], kBcd) + centuries) % 100, kBcd);
}

u8 Mc146818::flags() const {
    return static_cast<u8>(c_ | (c_ & b_ & (kPeriodicEnable | kAlarmEnable | kUpdateEnable) ? kIrqFlag : 0));
}

void Mc146818::update_irq() {
    const bool wanted = (flags() & kIrqFlag) != 0;
    if (!wanted)
        held_ = false;
    else if (inhibited_ && !irq_.level())
        held_ = true;
    irq_.set(wanted && !held_);
}

// The next moment at which the line may have to rise. Flags without an enable are found out when somebody looks.
void Mc146818::plan() {
    u64 next = ~u64{0};
    if (dividing() && !(flags() & kIrqFlag)) {
        const unsigned shift = periodic_shift();
        if ((b_ & kPeriodicEnable) && shift) next = ((last_cycle_ >> shift) + 1) << shift;
        const u64 second = last_cycle_ >> kSecondShift;
        if ((b_ & kUpdateEnable) && updating()) next = std::min(next, (second + 1) << kSecondShift);
        if ((b_ & kAlarmEnable) && updating()) {
            const u64 alarm = seconds_to_alarm(ram_.data(), read_time(ram_.data(), format()), format());
            if (alarm) next = std::min(next, (second + alarm) << kSecondShift);
        }
    }
    if (next == ~u64{0})
        timer_.cancel();
    else
        timer_.arm(time_of(next));
}

void Mc146818::expired(i64) {
    synchronise();
    update_irq();
    plan();
}

void Mc146818::inhibit(bool level) {
    synchronise();
    update_irq();
    inhibited_ = level;
    update_irq();
}

bool Mc146818::is_plain(u8 index) const {
    return index >= kFirstFree && index < kBytes && index != century_ && index != century_copy_;
}

u64 Mc146818::read(u64 offset, u32) {
    if (offset == 0) return 0xff;
    // Plain memory does not depend on the time, and asking for that is the dear part of an access.
    if (is_plain(index_)) return ram_[index_];
    synchronise();
    u8 value = index_ < kBytes ? ram_[index_] : 0xff;
    switch (index_) {
        case kRegisterA: {
            const u64 in_second = last_cycle_ & (kCyclesPerSecond - 1);
            value = static_cast<u8>(
                a_ | (updating() && in_second >= kCyclesPerSecond - kUpdateCycles ? kUpdateInProgress : 0));
            break;
        }
        case kRegisterB: value = b_; break;
        case kRegisterC:
            value = flags();
            c_ = 0;
            plan();
            break;
        case kRegisterD: value = kValidRam; break;
        default: break;
    }
    update_irq();
    return value;
}

void Mc146818::write(u64 offset, u32, u64 value) {
    if (offset == 0) {
        index_ = static_cast<u8>(value) & 0x7f;
        return;
    }
    synchronise();
    write_register(index_, static_cast<u8>(value));
    update_irq();
    plan();
}

void Mc146818::write_register(u8 index, u8 value) {
    switch (index) {
        case kRegisterA: write_a(value); break;
        case kRegisterB: write_b(value); break;
        case kRegisterC:
        case kRegisterD: break;  // read only
        default: ram_[index] = value; break;
    }
}

void Mc146818::write_a(u8 value) {
    const bool ran = dividing();
    a_ = value & static_cast<u8>(~kUpdateInProgress);
    if (dividing() == ran) return;
    // A restarted divider chain makes its first update half a second later (data sheet, "Divider Control").
    if (dividing()) {
        origin_ = now() - static_cast<i64>(kNanoseconds / 2);
        last_cycle_ = cycle_at(now());
    } else {
        last_cycle_ = 0;
    }
}

void Mc146818::write_b(u8 value) {
    if ((value & kDaylightSaving) && !(b_ & kDaylightSaving))
        log_unimplemented("automatic change to daylight saving time is not modelled");
    b_ = value;
    if (value & kSet) b_ &= static_cast<u8>(~kUpdateEnable);
}

u8 Mc146818::nvram_get(u32 index) {
    synchronise();
    return index < kBytes ? ram_[index] : 0xff;
}

void Mc146818::nvram_set(u32 index, u8 value) {
    if (index >= kFirstFree && index < kBytes) ram_[index] = value;
}

void Mc146818::reset(Reset kind) {
    synchronise();
    if (kind == Reset::kPowerOn) index_ = 0;
    b_ &= static_cast<u8>(~(kPeriodicEnable | kAlarmEnable | kUpdateEnable | kSquareWaveEnable));
    c_ = 0;
    update_irq();
    plan();
}

void Mc146818::state(StateVisitor& v) {
    v("ram", ram_, {.writable = true});
    v("index", index_, {.max = kBytes - 1});
    v("a", a_);
    v("b", b_);
    v("c", c_);
    v("origin", origin_, {.min = static_cast<u64>(-static_cast<i64>(kNanoseconds)), .max = kTimeField.max});
    v("last_cycle", last_cycle_);
    v("inhibited", inhibited_);
    v("held", held_);
}

bp_status Mc146818::restored() {
    // A damaged snapshot must not put the next event into the past for ever.
    origin_ = std::min(origin_, now());
    last_cycle_ = std::min(last_cycle_, cycle_at(now()));
    return BP_OK;
}

}  // namespace backplane::rtc
