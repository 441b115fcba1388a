#include "model.hpp"

#include <string_view>

namespace backplane {
namespace {

constexpr u32 kMemoryBar = 4096, kPortBar = 256;
constexpr u64 kTest = 0x00, kWidth = 0x01, kOffset = 0x04, kData = 0x08, kCount = 0x0c, kName = 0x10;
constexpr u8 kCounted = 0xfa, kAny = 0xce;

constexpr std::array<std::string_view, PciTestDevice::kNone> kNames{
    "mmio-no-eventfd",   "mmio-wildcard-eventfd",   "mmio-datamatch-eventfd",
    "portio-no-eventfd", "portio-wildcard-eventfd", "portio-datamatch-eventfd"};

bool takes_any(u32 test) { return test % PciTestDevice::kTests == 1; }
// In the upper half of the BAR.
u32 offset_of(u32 test) { return (test < PciTestDevice::kTests ? kMemoryBar : kPortBar) / 2 + test; }

}  // namespace

void PciTestDevice::describe(Schema<PciTestDevice>& s) {
    s.doc("PCI test function: counts writes to a memory and a port BAR");
    s.memory<&PciTestDevice::read, &PciTestDevice::write_memory>("memory", kMemoryBar, 1 | 2 | 4 | 8, "BAR 0",
                                                                 &PciTestDevice::memory_);
    s.ports<&PciTestDevice::read, &PciTestDevice::write_ports>("ports", kPortBar, 1 | 2 | 4, "BAR 1",
                                                               &PciTestDevice::ports_);
    plug_pci<&PciTestDevice::pci_>(s);
}

bp_status PciTestDevice::start() {
    pci_.identify({.vendor = 0x1b36, .device = 0x0005, .subclass = 0xff});
    pci_.memory_bar(0, kMemoryBar, memory_);
    pci_.io_bar(1, kPortBar, ports_);
    return BP_OK;
}

void PciTestDevice::reset(Reset kind) {
    pci_.reset(kind);
    test_ = kNone;
    counts_.fill(0);
}

void PciTestDevice::state(StateVisitor& v) {
    pci_.state(v);
    v("test", test_, {.max = kNone});
    v("counts", counts_);
}

bp_status PciTestDevice::restored() {
    pci_.restored();
    return BP_OK;
}

u64 PciTestDevice::read(u64 offset, u32 bytes) {
    u64 value = 0;
    for (u32 i = bytes; i-- > 0;) value = value << 8 | read_byte(offset + i);
    return value;
}

u8 PciTestDevice::read_byte(u64 offset) const {
    if (test_ == kNone) return 0;
    const auto byte_of = [&](u32 number, u64 first) { return static_cast<u8>(number >> (8 * (offset - first))); };
    if (offset == kTest) return static_cast<u8>(test_);
    if (offset == kWidth) return 1;
    if (offset >= kOffset && offset < kOffset + 4) return byte_of(offset_of(test_), kOffset);
    if (offset == kData) return takes_any(test_) ? kAny : kCounted;
    if (offset >= kCount && offset < kCount + 4) return byte_of(counts_[test_], kCount);
    if (offset >= kName && offset - kName < kNames[test_].size()) return static_cast<u8>(kNames[test_][offset - kName]);
    return 0;
}

void PciTestDevice::write_memory(u64 offset, u32 bytes, u64 value) { write(offset, bytes, value, 0); }
void PciTestDevice::write_ports(u64 offset, u32 bytes, u64 value) { write(offset, bytes, value, kTests); }

void PciTestDevice::write(u64 offset, u32 bytes, u64 value, u32 first) {
    for (u32 i = 0; i < bytes; ++i) write_byte(offset + i, static_cast<u8>(value >> (8 * i)), first);
}

// `first`: of the BAR's tests. A write to the other BAR counts as well, if the place is the same one.
void PciTestDevice::write_byte(u64 offset, u8 value, u32 first) {
    if (offset == kTest) {
        test_ = value < kTests ? first + value : kNone;
        if (test_ != kNone) counts_[test_] = 0;
        return;
    }
    if (test_ == kNone || offset != offset_of(test_)) return;
    if (takes_any(test_) || value == kCounted) ++counts_[test_];
}

}  // namespace backplane
