#include "model.hpp"

#include <algorithm>

namespace backplane::serial {
namespace {

enum : u64 { kData, kIer, kIirFcr, kLcr, kMcr, kLsr, kMsr, kScratch };

constexpr i64 kFastNs = 1'000;       // of one character, whatever the baud rate
constexpr i64 kRetryNs = 1'000'000;  // the back end was full
constexpr u64 kBaudBase = 115200;    // 1.8432 MHz / 16

}  // namespace

void Uart16550::describe(Schema<Uart16550>& s) {
    s.doc(
        "16550A serial port with FIFOs. Without a back end it sends into the void. A back end that takes no more stops "
        "the "
        "transmitter, so that no output is lost; input waits in the back end until there is room.");
    s.link("backend", &Uart16550::backend_, BP_CHARDEV_ID, "the other end of the line", true);
    s.property("pace", &Uart16550::pace_,
               {"fast: a character takes a microsecond; baud: as long as the programmed rate says", "fast", false,
                "fast|baud"});
    s.property("out2_gates_irq", &Uart16550::out2_gates_,
               {"the interrupt passes only while OUT2 is on, as on an IBM adapter", "false"});
    s.ports<&Uart16550::read, &Uart16550::write>("ports", 8, 1, "registers");
    s.line_in<&Uart16550::ring>("ring", "ring indicator of the modem; the other modem inputs are always on");
    s.line_out("irq", &Uart16550::irq_, "interrupt request");
    s.timer<&Uart16550::transmitted>("transmit", &Uart16550::transmit_timer_);
    s.timer<&Uart16550::timed_out>("timeout", &Uart16550::timeout_timer_);
    s.timer<&Uart16550::room_again>("room", &Uart16550::room_timer_);
}

void Uart16550::connect() {
    if (backend_) backend_.call(&bp_chardev::connect, &kReceiver, static_cast<void*>(this));
}

i64 Uart16550::character_ns() const {
    const u64 half_bits =
        2 * (1 + 5 + (lcr_ & 3u) + (lcr_ & kLcrParity ? 1 : 0) + 1) + (lcr_ & kLcrTwoStop ? ((lcr_ & 3) ? 2 : 1) : 0);
    const u64 divisor = divisor_ ? divisor_ : 65536;
    return static_cast<i64>(half_bits * divisor * 500'000'000 / kBaudBase);
}

i64 Uart16550::pace_ns() const { return pace_ == Pace::kBaud ? character_ns() : std::min(kFastNs, character_ns()); }

// What the clock says has been sent, has been sent: a busy host delivers timers late, and Linux counts its polls during
// boot, gives up and overruns a transmitter that is slower than the clock.
void Uart16550::catch_up() {
    if (transmitter_.empty() || shifting()) return;
    while (!transmitter_.empty() && !shifting()) transmit(shift_until_);
    update_irq();
}

u64 Uart16550::read(u64 offset, u32) {
    catch_up();
    const bool divisor = (lcr_ & kLcrDivisor) != 0;
    switch (offset) {
        case kData: return divisor ? divisor_ & 0xff : read_buffer();
        case kIer: return divisor ? divisor_ >> 8 : ier_;
        case kIirFcr: return read_identification();
        case kLcr: return lcr_;
        case kMcr: return mcr_;
        case kLsr: return read_line_status();
        case kMsr: return read_modem_status();
        default: return scratch_;
    }
}

void Uart16550::write(u64 offset, u32, u64 wide) {
    catch_up();
    const u8 value = static_cast<u8>(wide);
    const bool divisor = (lcr_ & kLcrDivisor) != 0;
    switch (offset) {
        case kData:
            if (divisor)
                divisor_ = static_cast<u16>((divisor_ & 0xff00) | value);
            else
                write_holding(value);
            break;
        case kIer:
            if (divisor) {
                divisor_ = static_cast<u16>((divisor_ & 0x00ff) | value << 8);
                break;
            }
            // Enabling the interrupt while the holding register is empty interrupts at once; drivers start sending that
            // way.
            if ((value & ~ier_ & kIerTransmit) && transmitter_.empty()) holding_event_ = true;
            ier_ = value & kIerBits;
            break;
        case kIirFcr: write_fifo_control(value); break;
        case kLcr: write_line_control(value); break;
        case kMcr: write_modem_control(value); break;
        case kScratch: scratch_ = value; break;
        default: break;  // LSR and MSR: factory test only
    }
    update_irq();
}

// Sources in order of priority (data sheet, "Interrupt Identification Register").
u8 Uart16550::pending() const {
    if ((ier_ & kIerLine) && lsr_errors_) return kIirLine;
    if ((ier_ & kIerReceive) && receiver_.size() >= trigger()) return kIirReceive;
    if ((ier_ & kIerReceive) && timeout_) return kIirTimeout;
    if ((ier_ & kIerTransmit) && holding_event_) return kIirTransmit;
    if ((ier_ & kIerModem) && msr_deltas_) return kIirModem;
    return kIirNone;
}

void Uart16550::update_irq() {
    const bool gate = !out2_gates_ || ((mcr_ & kMcrOut2) && !looped());
    irq_.set(pending() != kIirNone && gate);
}

u8 Uart16550::read_identification() {
    const u8 source = pending();
    if (source == kIirTransmit) holding_event_ = false;
    update_irq();
    return static_cast<u8>(source | (fifos() ? kIirFifos : 0));
}

u8 Uart16550::line_status() const {
    return static_cast<u8>((receiver_.empty() ? 0 : kLsrDataReady) | lsr_errors_ |
                           (transmitter_.empty() ? kLsrHoldingEmpty : 0) |
                           (transmitter_.empty() && !shifting() ? kLsrTransmitterEmpty : 0) |
                           (fifos() && (receiver_.has_errors() || (lsr_errors_ & ~kLsrOverrun)) ? kLsrFifoError : 0));
}

u8 Uart16550::read_line_status() {
    const u8 value = line_status();
    lsr_errors_ = 0;
    update_irq();
    return value;
}

u8 Uart16550::modem_lines() const {
    if (!looped()) return static_cast<u8>(kMsrCts | kMsrDsr | kMsrCarrier | (ring_ ? kMsrRing : 0));
    return static_cast<u8>((mcr_ & kMcrRts ? kMsrCts : 0) | (mcr_ & kMcrDtr ? kMsrDsr : 0) |
                           (mcr_ & kMcrOut1 ? kMsrRing : 0) | (mcr_ & kMcrOut2 ? kMsrCarrier : 0));
}

void Uart16550::modem_changed() {
    const u8 lines = modem_lines(), changed = static_cast<u8>(lines ^ msr_lines_);
    msr_deltas_ |= static_cast<u8>((changed & (kMsrCts | kMsrDsr | kMsrCarrier)) >> 4);
    if (changed & msr_lines_ & kMsrRing) msr_deltas_ |= kMsrRingEnded;
    msr_lines_ = lines;
}

u8 Uart16550::read_modem_status() {
    const u8 value = static_cast<u8>(msr_lines_ | msr_deltas_);
    msr_deltas_ = 0;
    update_irq();
    return value;
}

void Uart16550::ring(bool level) {
    ring_ = level;
    modem_changed();
    update_irq();
}

void Uart16550::write_fifo_control(u8 value) {
    const bool switched = (value ^ fcr_) & kFcrEnable;
    const bool on = (value & kFcrEnable) != 0;
    if (switched || (on && (value & kFcrClearReceive))) clear_receiver();
    if (switched || (on && (value & kFcrClearTransmit))) {
        flush();
        holding_event_ = transmitter_.empty();
    }
    fcr_ = on ? value : 0;
}

void Uart16550::write_line_control(u8 value) {
    const bool break_begins = (value & ~lcr_ & kLcrBreak) != 0;
    lcr_ = value;
    if (break_begins && looped()) receive_break();
}

void Uart16550::write_modem_control(u8 value) {
    const bool was = looped();
    mcr_ = value & kMcrBits;
    modem_changed();
    if (was && !looped()) room_timer_.arm_in(pace_ns());
}

void Uart16550::write_holding(u8 value) {
    holding_event_ = false;
    // Overwrites a full holding register; a full FIFO loses the new character (data sheet, "FIFO Interrupt Mode
    // Operation").
    if (!fifos()) transmitter_.clear();
    transmitter_.push({static_cast<u8>(value & data_mask()), 0});
    if (!shifting())
        transmit(now());
    else if (!transmit_timer_.armed())
        transmit_timer_.arm(shift_until_);
}

bool Uart16550::emit(u8 byte) {
    if (looped()) {
        take_in({byte, 0});
        return true;
    }
    return !backend_ || backend_.call(&bp_chardev::write, &byte, 1u) == 1;
}

// The wire is faster than any guest: what was sent before the FIFO is cleared has long been on its way. What a full
// back end does not take stays.
void Uart16550::flush() {
    while (!looped() && !transmitter_.empty() && emit(transmitter_.front().data)) transmitter_.pop();
    if (looped()) transmitter_.clear();
}

// Moves the next character into the shift register and out on the line. The timer is for characters that wait behind
// it; a polling guest, which never has one waiting, goes without.
void Uart16550::transmit(i64 at) {
    if (transmitter_.empty()) return;
    if (emit(transmitter_.front().data)) {
        shift_until_ = at + pace_ns();
        transmitter_.pop();
        if (transmitter_.empty()) holding_event_ = true;
    } else {
        shift_until_ = now() + kRetryNs;
    }
    if (!transmitter_.empty()) transmit_timer_.arm(shift_until_);
}

void Uart16550::transmitted(i64) { catch_up(); }

void Uart16550::reset(Reset) {
    flush();
    transmit_timer_.cancel(), timeout_timer_.cancel();
    divisor_ = 12;
    ier_ = fcr_ = lcr_ = scratch_ = lsr_errors_ = msr_deltas_ = buffer_ = 0;
    mcr_ = kMcrOut2;
    holding_event_ = timeout_ = false;
    shift_until_ = now();
    transmitter_.clear(), receiver_.clear();
    msr_lines_ = modem_lines();
    irq_.lower();
    room_timer_.arm_in(pace_ns());
}

void Uart16550::state(StateVisitor& v) {
    v("divisor", divisor_);
    v("ier", ier_);
    v("fcr", fcr_);
    v("lcr", lcr_);
    v("mcr", mcr_);
    v("scratch", scratch_, {.writable = true});
    v("lsr_errors", lsr_errors_);
    v("msr_lines", msr_lines_);
    v("msr_deltas", msr_deltas_);
    v("buffer", buffer_);
    v("ring", ring_);
    v("shift_until", shift_until_, kTimeField);
    v("holding_event", holding_event_);
    v("timeout", timeout_);
    v.group("receiver", [&] { receiver_.state(v); });
    v.group("transmitter", [&] { transmitter_.state(v); });
}

bp_status Uart16550::restored() {
    shift_until_ = std::min(shift_until_, now() + character_ns() + kRetryNs);  // whatever a damaged snapshot says
    return BP_OK;
}

}  // namespace backplane::serial
