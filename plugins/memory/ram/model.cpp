#include "model.hpp"

#include <algorithm>

namespace backplane {
namespace {

constexpr u64 kUpperStart = 0xa0000;  // adapters and ROMs of a PC
constexpr u64 kUpperEnd = 0x100000;
constexpr u64 k4Gib = u64{1} << 32;

}  // namespace

void PlainRam::describe(Schema<PlainRam>& s) {
    s.doc("Memory at a fixed address");
    s.property("size", &PlainRam::size_,
               {.doc = "bytes, a multiple of 4 KiB", .required = true, .min = 4096, .max = u64{1} << 40});
    s.property("base", &PlainRam::base_, {.doc = "first address", .def = "0", .max = u64{1} << 40});
    s.property("leave_upper", &PlainRam::leave_upper_,
               {.doc = "leave out A0000h-FFFFFh, where a PC has its adapters and ROMs", .def = "true"});
    s.property("main", &PlainRam::main_,
               {.doc = "this is the board's main memory: its size is published as ram.layout", .def = "true"});
    s.publishes("ram.layout", "below_4g, above_4g, total: bytes of memory");
}

bp_status PlainRam::start() {
    if (size_.value % 4096 || base_.value % 4096)
        return fail(BP_ERR_INVALID, "size and base must be multiples of 4 KiB");
    const bp_ram_api& ram = slot().ram();
    if (const bp_status s = ram.create(slot().self(), to_bp("ram"), size_.value, &block_)) return s;
    const u64 end = base_.value + size_.value;
    if (!leave_upper_ || base_.value >= kUpperEnd || end <= kUpperStart) return map(0, size_.value);
    if (base_.value < kUpperStart)
        if (const bp_status s = map(0, kUpperStart - base_.value)) return s;
    if (end <= kUpperEnd) return BP_OK;
    const u64 offset = kUpperEnd - base_.value;
    return map(offset, size_.value - offset);
}

bp_status PlainRam::map(u64 offset, u64 size) {
    u32 mapping = 0;
    return slot().ram().map(slot().self(), block_, offset, base_.value + offset, size, BP_MAP_READ | BP_MAP_WRITE,
                            BP_PRIORITY_RAM, &mapping);
}

bp_status PlainRam::publish() {
    if (!main_) return BP_OK;
    const u64 end = base_.value + size_.value;
    const u64 below = std::min(end, k4Gib), above = end - below;
    return publish_fact("ram.layout", name(), {{"below_4g", below}, {"above_4g", above}, {"total", end}});
}

}  // namespace backplane
