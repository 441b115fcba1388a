#include "model.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstring>
#include <vector>

#include "firmware_file.hpp"

namespace backplane {
namespace {

constexpr u64 kLargest = 16 << 20;    // what a PC decodes for its firmware hub
constexpr u64 kBiosUnit = 64 << 10;   // BIOS images are whole segments
constexpr u64 kOptionRomUnit = 512;   // option ROMs count their size in sectors
constexpr u64 kLowAlias = 128 << 10;  // E0000h-FFFFFh
constexpr u64 kLowEnd = 1 << 20;
constexpr u64 kHighEnd = u64{1} << 32;
constexpr u64 kPage = 4096;
constexpr u32 kReadOnly = BP_MAP_READ | BP_MAP_DROP_WRITE;

}  // namespace

void FirmwareRom::describe(Schema<FirmwareRom>& s) {
    s.doc("ROM with a firmware image: the system BIOS below 4 GiB and 1 MiB, or any ROM at a fixed address");
    s.property("image", &FirmwareRom::image_,
               {.doc = "file name of the image on the firmware search path, or a path", .required = true});
    s.property("end", &FirmwareRom::end_, {.doc = "first address after the image", .def = "4G", .max = u64{1} << 36});
    s.property("base", &FirmwareRom::base_,
               {.doc = "first address of the image, for a ROM that is not the system BIOS; 0: see end",
                .def = "0",
                .max = u64{1} << 36});
    s.property(
        "place", &FirmwareRom::place_,
        {.doc = "first address of a system BIOS that does not end at `end`; its last 128 KiB then also show below 4 "
                "GiB and 1 MiB; 0: see end",
         .def = "0",
         .max = u64{4} << 30});
    s.property(
        "low_alias", &FirmwareRom::low_alias_,
        {.doc = "show the image's last 128 KiB below 1 MiB, where a processor in real mode finds it", .def = "true"});
    s.publishes("firmware.image", "bytes, name: the image", false);
    s.property("low_writable", &FirmwareRom::low_writable_,
               {.doc = "below 1 MiB is memory that each reset fills with the image: for boards whose chipset has no "
                       "shadow RAM",
                .def = "false"});
}

bp_status FirmwareRom::start() {
    std::vector<u8> image;
    if (const bp_status s = firmware::read(slot(), image_, kLargest, &image)) return s;
    const u64 size = bytes_ = image.size();
    const u64 unit = base_.value ? kOptionRomUnit : place_.value ? kPage : kBiosUnit;
    if (size % unit)
        return fail(BP_ERR_INVALID, "%s has %" PRIu64 " bytes; the size must be a multiple of %" PRIu64, image_.c_str(),
                    size, unit);
    if (base_.value && place_.value) return fail(BP_ERR_INVALID, "base and place cannot both be given");
    const u64 end = place_.value ? kHighEnd : end_.value;
    if (!base_.value && size > end - std::min(end, place_.value))
        return fail(BP_ERR_INVALID, "%s has %" PRIu64 " bytes and does not fit below %" PRIx64 "h", image_.c_str(),
                    size, end);
    const u64 base = base_.value ? base_.value : place_.value ? place_.value : end - size;
    if (base % kPage) return fail(BP_ERR_INVALID, "the image would start at %" PRIx64 "h, not on a page", base);

    const bp_ram_api& ram = slot().ram();
    if (const bp_status s = ram.create(slot().self(), to_bp("rom"), size, &block_)) return s;
    auto* data = static_cast<u8*>(ram.data(slot().self(), block_));
    const u64 mapped = (size + kPage - 1) / kPage * kPage;
    std::memset(data, 0xff, mapped);
    std::memcpy(data, image.data(), size);
    if (base_.value) return map(block_, 0, base, mapped, kReadOnly);
    return show(base, base + size);
}

// The image's own place, and where a processor looks for it: whole below 4 GiB, its end below 1 MiB.
bp_status FirmwareRom::show(u64 from, u64 end) {
    const u64 size = end - from, top = std::min(size, kLowAlias);
    const bool low = low_alias_ && (place_.value || end_.value != kLowEnd);
    const auto in_the_way = [&](u64 window_end, u64 window) {
        return from < window_end && end > window_end - window && end != window_end;
    };
    if (place_.value && (in_the_way(kHighEnd, size) || (low && in_the_way(kLowEnd, top))))
        return fail(BP_ERR_INVALID,
                    "%s at %" PRIx64 "h covers a part of where it also has to show, below 4 GiB and 1 MiB",
                    image_.c_str(), from);
    const bool shadow = low && low_writable_;
    // What is memory below 1 MiB is not also the ROM.
    const u64 rom = shadow && end == kLowEnd ? size - top : size;
    if (rom)
        if (const bp_status s = map(block_, 0, from, rom, kReadOnly)) return s;
    if (place_.value && end != kHighEnd)
        if (const bp_status s = map(block_, 0, kHighEnd - size, size, kReadOnly)) return s;
    if (!low || (end == kLowEnd && !shadow)) return BP_OK;
    if (!shadow) return map(block_, size - top, kLowEnd - top, top, kReadOnly);
    if (const bp_status s = slot().ram().create(slot().self(), to_bp("shadow"), top, &shadow_)) return s;
    shadow_size_ = top, shadow_from_ = size - top;
    return map(shadow_, 0, kLowEnd - top, top, BP_MAP_READ | BP_MAP_WRITE);
}

bp_status FirmwareRom::publish() {
    return publish_fact("firmware.image", "", {{"bytes", bytes_}, {"name", 0, image_}});
}

void FirmwareRom::reset(Reset) {
    if (!shadow_size_) return;
    const bp_ram_api& ram = slot().ram();
    const auto* image = static_cast<const u8*>(ram.data(slot().self(), block_));
    std::memcpy(ram.data(slot().self(), shadow_), image + shadow_from_, shadow_size_);
    ram.touched(slot().self(), shadow_, 0, shadow_size_);
}

bp_status FirmwareRom::map(u32 block, u64 offset, u64 base, u64 size, u32 flags) {
    u32 mapping = 0;
    return slot().ram().map(slot().self(), block, offset, base, size, flags, BP_PRIORITY_FIXED, &mapping);
}

}  // namespace backplane
