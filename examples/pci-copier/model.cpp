#include "model.hpp"

#include <algorithm>
#include <array>

namespace example {
namespace {

constexpr u64 kBarSize = 0x1000;
constexpr u64 kId = 0x00, kControl = 0x04, kStatus = 0x08, kLength = 0x0c, kSource = 0x10, kSourceHigh = 0x14,
              kDestination = 0x18, kDestinationHigh = 0x1c, kCopied = 0x20, kReason = 0x24;
constexpr u32 kIdValue = 0x59504f43;  // "COPY"

constexpr u32 kStart = 1u << 0, kInterruptEnable = 1u << 1;
constexpr u32 kBusy = 1u << 0, kDone = 1u << 1, kError = 1u << 2;
enum : u32 { kNoError = 0, kNoMemory = 1, kOwnRegisters = 2, kNoBusMaster = 3, kBadLength = 4 };

constexpr u32 kMaxLength = 16u << 20;
constexpr u32 kBurstRegister = 0x40;
constexpr u32 kMinBurst = 4, kMaxBurst = 12;  // powers of two
constexpr i64 kSecond = 1'000'000'000;

unsigned long long hex(u64 value) { return value; }  // what %llx wants

}  // namespace

void PciCopier::describe(Schema<PciCopier>& s) {
    s.doc("A PCI function that copies guest memory by DMA (example).");
    s.property("bandwidth", &PciCopier::bandwidth_,
               {.doc = "bytes copied in a second", .def = "128M", .min = 1u << 20, .max = u64{64} << 30});
    s.memory<&PciCopier::read, &PciCopier::write>("registers", kBarSize, 4, "BAR 0", &PciCopier::registers_);
    s.timer<&PciCopier::on_burst>("burst", &PciCopier::timer_);
    s.trace("started", &PciCopier::started_, "a copy begins");
    s.trace("finished", &PciCopier::finished_, "a copy has ended, well or not");
    plug_pci<&PciCopier::pci_>(s);
    link_msi<&PciCopier::msi_>(s);
}

bp_status PciCopier::start() {
    pci_.identify({.vendor = 0x1234, .device = 0xc0de, .base_class = 0xff, .revision = 1, .interrupt_pin = 1});
    pci_.memory_bar(0, kBarSize, registers_);
    pci_.field({.name = "burst",
                .reg = kBurstRegister,
                .bytes = 1,
                .reset = kMaxBurst,
                .writable = 0x0f,
                .doc = "bytes of a burst as a power of two"});
    msi_.add(pci_);
    return BP_OK;
}

void PciCopier::reset(Reset kind) {
    control_ = status_ = length_ = copied_ = 0;
    reason_ = kNoError;
    source_ = destination_ = 0;
    timer_.cancel();
    pci_.reset(kind);
}

void PciCopier::state(StateVisitor& v) {
    pci_.state(v);
    v("control", control_, {.max = kInterruptEnable});
    v("status", status_, {.max = kBusy | kDone | kError});
    v("length", length_);
    v("source", source_);
    v("destination", destination_);
    v("copied", copied_, {.max = kMaxLength});
    v("reason", reason_, {.max = kBadLength});
}

bp_status PciCopier::restored() {
    // What a range of one field cannot say. A snapshot is as little to be trusted as a guest.
    if ((status_ & kBusy) && (length_ > kMaxLength || copied_ > length_))
        return fail(BP_ERR_INVALID, "%u of %u bytes copied", copied_, length_);
    pci_.restored();
    return BP_OK;
}

u64 PciCopier::read(u64 offset, u32) {
    switch (offset) {
        case kId: return kIdValue;
        case kControl: return control_;
        case kStatus: return status_;
        case kLength: return length_;
        case kSource: return source_ & 0xffffffff;
        case kSourceHigh: return source_ >> 32;
        case kDestination: return destination_ & 0xffffffff;
        case kDestinationHigh: return destination_ >> 32;
        case kCopied: return copied_;
        case kReason: return reason_;
        default: log_guest("read of %03llx, where there is no register", hex(offset)); return 0;
    }
}

void PciCopier::write(u64 offset, u32, u64 value) {
    const u32 data = static_cast<u32>(value);
    if ((status_ & kBusy) && offset >= kLength && offset <= kDestinationHigh) {
        log_guest("write of %03llx during a copy", hex(offset));
        return;
    }
    switch (offset) {
        case kControl: return set_control(data);
        case kStatus:
            status_ &= ~(data & (kDone | kError));
            update_interrupt();
            return;
        case kLength: length_ = data; return;
        case kSource:
        case kSourceHigh: return set_address(source_, offset == kSourceHigh, data);
        case kDestination:
        case kDestinationHigh: return set_address(destination_, offset == kDestinationHigh, data);
        default: log_guest("write of %03llx, which cannot be written", hex(offset));
    }
}

void PciCopier::set_control(u32 value) {
    if (value & ~(kStart | kInterruptEnable)) log_guest("reserved control bits written: %08x", value);
    control_ = value & kInterruptEnable;
    if (value & kStart) {
        if (status_ & kBusy) {
            log_guest("start during a copy");
        } else {
            started_("%u bytes from %llx to %llx", length_, hex(source_), hex(destination_));
            status_ = kBusy, copied_ = 0, reason_ = kNoError;
            if (length_ == 0 || length_ > kMaxLength)
                finish(kBadLength);
            else
                arm_burst(now());
        }
    }
    update_interrupt();
}

void PciCopier::set_address(u64& address, bool high, u32 value) {
    const unsigned shift = high ? 32 : 0;
    address = (address & ~(u64{0xffffffff} << shift)) | u64{value} << shift;
}

u32 PciCopier::burst() const {
    const u32 power = std::clamp<u32>(pci_.get8(kBurstRegister), kMinBurst, kMaxBurst);
    return std::min(1u << power, length_ - copied_);
}

// The next burst arrives after the time that the bandwidth gives it.
void PciCopier::arm_burst(i64 from) {
    const i64 ns = static_cast<i64>(u64{burst()} * kSecond / bandwidth_.value);
    timer_.arm(from + std::max<i64>(ns, 1));
}

void PciCopier::on_burst(i64 due) {
    if (!(status_ & kBusy)) return;
    if (!pci_.bus_master()) return finish(kNoBusMaster);
    // Read and written in one go: between two bursts there is no data under way that a snapshot would have to hold.
    std::array<u8, 1u << kMaxBurst> data;
    const u32 size = burst();
    bp_status status = dma_read(source_ + copied_, data.data(), size);
    if (status == BP_OK) status = dma_write(destination_ + copied_, data.data(), size);
    if (status == BP_ERR_REENTRANT) return finish(kOwnRegisters);  // the kernel has logged it
    if (status != BP_OK) {
        log_guest("copy from %llx to %llx: no memory there", hex(source_), hex(destination_));
        return finish(kNoMemory);
    }
    copied_ += size;
    if (copied_ == length_) return finish(kNoError);
    arm_burst(due);
}

void PciCopier::finish(u32 reason) {
    reason_ = reason;
    status_ = reason == kNoError ? kDone : kError;
    finished_("%u of %u bytes, reason %u", copied_, length_, reason_);
    update_interrupt();
}

// Each form of interrupt takes effect only where the guest has chosen it: the message while MSI is on, the pin while it
// is off.
void PciCopier::update_interrupt() {
    const bool wanted = (control_ & kInterruptEnable) && (status_ & (kDone | kError));
    if (wanted && !pci_.intx()) msi_.send();
    pci_.set_intx(wanted);
}

}  // namespace example
