#include "model.hpp"

namespace backplane {
namespace {

constexpr u32 kScratch = 4;

}  // namespace

void PcTestDevice::describe(Schema<PcTestDevice>& s) {
    s.doc("Test device for processors: scratch ports, interrupt lines, memory that is no RAM");
    s.ports<&PcTestDevice::read_scratch, &PcTestDevice::write_scratch>("scratch", kScratch, 1 | 2 | 4,
                                                                       "usually at E0h");
    s.ports<nullptr, &PcTestDevice::flush>("flush", 4, 4, "forget this page; usually at E4h");
    s.ports<&PcTestDevice::read_scratch, &PcTestDevice::write_scratch>("bytes", kScratch, 1 | 2 | 4,
                                                                       "the same register; usually at E8h");
    s.ports<nullptr, &PcTestDevice::write_line>("lines", kLines, 1, "levels of the interrupt lines; usually at 2000h");
    s.memory<&PcTestDevice::read_memory, &PcTestDevice::write_memory>("memory", kMemory, 1 | 2 | 4 | 8,
                                                                      "usually at FF000000h");
    s.lines_out("irq", &PcTestDevice::irq_, "interrupt lines");
    s.trace("flushes", &PcTestDevice::flushes_, "pages to be forgotten");
}

// Another reset than that of power-on lowers the lines and leaves what tests have stored.
void PcTestDevice::reset(Reset kind) {
    for (LineOut& line : irq_) line.set(false);
    if (kind != Reset::kPowerOn) return;
    scratch_ = 0;
    memory_.fill(0);
}

void PcTestDevice::state(StateVisitor& v) {
    v("scratch", scratch_);
    v("memory", memory_);
}

u64 PcTestDevice::read_scratch(u64 offset, u32 bytes) {
    const u64 value = scratch_ >> (8 * offset);
    return value & ((u64{1} << (8 * bytes)) - 1);
}

void PcTestDevice::write_scratch(u64 offset, u32 bytes, u64 value) {
    const u64 mask = (u64{1} << (8 * bytes)) - 1;
    const unsigned shift = static_cast<unsigned>(8 * offset);
    scratch_ = static_cast<u32>((scratch_ & ~(mask << shift)) | (value & mask) << shift);
}

void PcTestDevice::flush(u64, u32, u64 value) { flushes_("%08x", static_cast<u32>(value)); }

void PcTestDevice::write_line(u64 offset, u32, u64 value) { irq_[offset].set(value != 0); }

u64 PcTestDevice::read_memory(u64 offset, u32 bytes) {
    u64 value = 0;
    for (u32 i = bytes; i-- > 0;) value = value << 8 | (offset + i < kMemory ? memory_[offset + i] : 0xff);
    return value;
}

void PcTestDevice::write_memory(u64 offset, u32 bytes, u64 value) {
    for (u32 i = 0; i < bytes && offset + i < kMemory; ++i) memory_[offset + i] = static_cast<u8>(value >> (8 * i));
}

}  // namespace backplane
