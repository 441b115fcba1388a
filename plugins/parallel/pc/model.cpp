#include "model.hpp"

namespace backplane::parallel {
namespace {

// Status register; BUSY, ACK and ERROR are the inverted or active-low signals as the register shows them.
constexpr u8 kNotBusy = 0x80;
constexpr u8 kNotAcknowledge = 0x40;
constexpr u8 kSelected = 0x10;
constexpr u8 kNoError = 0x08;
constexpr u8 kStatusUnused = 0x01;  // reads 1 in pc-0.12
// Control register.
constexpr u8 kStrobe = 0x01;
constexpr u8 kInit = 0x04;  // 0 resets the printer
constexpr u8 kSelect = 0x08;
constexpr u8 kIrqEnable = 0x10;
constexpr u8 kInput = 0x20;
constexpr u8 kControlBits = 0x3f;
constexpr u8 kControlUnused = 0xc0;  // read 1

constexpr i64 kPrintNs = 2'000;        // strobe to ACK of a fast printer
constexpr i64 kAcknowledgeNs = 5'000;  // width of the ACK pulse
constexpr i64 kRetryNs = 1'000'000;    // the back end was full

}  // namespace

void PcParallel::describe(Schema<PcParallel>& s) {
    s.doc(
        "Parallel port in standard mode with a printer that is always ready and takes a byte at each strobe. Without a "
        "back end the "
        "printer throws the paper away.");
    s.link("backend", &PcParallel::backend_, BP_CHARDEV_ID, "where printed bytes go", true);
    s.ports<&PcParallel::read, &PcParallel::write>("ports", 3, 1, "data, status, control");
    s.line_out("irq", &PcParallel::irq_, "raised at the end of the printer's ACK, lowered when the status is read");
    s.timer<&PcParallel::advance>("printer", &PcParallel::timer_);
}

u8 PcParallel::status() const {
    return static_cast<u8>(kSelected | kNoError | kStatusUnused | (phase_ == Phase::kReady ? kNotBusy : 0) |
                           (phase_ == Phase::kAcknowledge ? 0 : kNotAcknowledge));
}

// A busy host delivers timers late; a guest that polls for the printer goes by the clock.
void PcParallel::catch_up() {
    for (i64 due = timer_.due(); phase_ != Phase::kReady && due >= 0 && due <= now(); due = timer_.due()) {
        timer_.cancel();
        advance(due);
    }
}

u64 PcParallel::read(u64 offset, u32) {
    catch_up();
    switch (offset) {
        case 0: return control_ & kInput ? 0xff : data_;  // nothing drives the lines when turned round
        case 1: irq_.lower(); return status();
        default: return control_ | kControlUnused;
    }
}

void PcParallel::write(u64 offset, u32, u64 value) {
    catch_up();
    if (offset == 0) data_ = static_cast<u8>(value);
    if (offset == 2) write_control(static_cast<u8>(value) & kControlBits);
}

void PcParallel::write_control(u8 value) {
    const bool strobe = (value & kStrobe) && !(control_ & kStrobe);
    control_ = value;
    if (!(value & kIrqEnable)) irq_.lower();
    if (!(value & kInit)) {
        phase_ = Phase::kReady;
        timer_.cancel();
        irq_.lower();
        return;
    }
    if (!strobe || !(value & kSelect) || phase_ != Phase::kReady) return;
    printing_ = data_;
    phase_ = Phase::kPrinting;
    irq_.lower();
    timer_.arm_in(kPrintNs);
}

void PcParallel::advance(i64) {
    if (phase_ == Phase::kPrinting) {
        // A full back end keeps the printer busy: nothing is lost.
        if (backend_ && backend_.call(&bp_chardev::write, &printing_, 1u) == 0) {
            timer_.arm_in(kRetryNs);
            return;
        }
        phase_ = Phase::kAcknowledge;
        timer_.arm_in(kAcknowledgeNs);
        return;
    }
    phase_ = Phase::kReady;
    if (control_ & kIrqEnable) irq_.raise();
}

void PcParallel::reset(Reset) {
    if (phase_ == Phase::kPrinting && backend_) backend_.call(&bp_chardev::write, &printing_, 1u);
    timer_.cancel();
    data_ = 0xff;
    control_ = kInit | kSelect;
    phase_ = Phase::kReady;
    irq_.lower();
}

void PcParallel::state(StateVisitor& v) {
    v("data", data_);
    v("control", control_, {.max = kControlBits});
    v("phase", phase_, {.max = static_cast<u64>(Phase::kAcknowledge)});
    v("printing", printing_);
}

}  // namespace backplane::parallel
