#include "model.hpp"

#include <charconv>

namespace backplane {
namespace {

constexpr u32 kPam0 = 0x59;   // 3.2.18: PAM0-PAM6, two nibbles each
constexpr u32 kSmram = 0x72;  // 3.2.20
constexpr u8 kPamRead = 1;
constexpr u8 kPamWrite = 2;
constexpr u8 kSmramOpen = 1u << 6;    // D_OPEN
constexpr u8 kSmramClosed = 1u << 5;  // D_CLS
constexpr u8 kSmramLock = 1u << 4;    // D_LCK
constexpr u8 kSmramEnable = 1u << 3;  // G_SMRAME
constexpr u8 kSmramPowerOn = 0x02;

constexpr u32 kConfigEnable = 1u << 31;

constexpr u64 k4Gib = u64{1} << 32;
constexpr u64 kVgaWindow = 0xa0000;
constexpr u64 kVgaWindowSize = 0x20000;
constexpr u64 kPamStart = 0xc0000;
constexpr u64 kPamSegment = 0x4000;
constexpr u64 kBiosSegment = 0xf0000;
constexpr u64 k1Mib = 0x100000;

u32 ones(u32 bytes) { return bytes >= 4 ? ~u32{0} : (u32{1} << (8 * bytes)) - 1; }

// Flags of a window from its two PAM bits. A readable window that is not writable swallows writes: nothing behind it
// may see them. A writable one that is not readable lets reads through to the ROM, which is how a BIOS copies itself
// down.
u32 pam_flags(u32 bits) {
    switch (bits & 3) {
        case kPamRead: return BP_MAP_READ | BP_MAP_DROP_WRITE;
        case kPamWrite: return BP_MAP_WRITE;
        case kPamRead | kPamWrite: return BP_MAP_READ | BP_MAP_WRITE;
        default: return 0;
    }
}

// "1.1" is device.function, "2" is function 0 of device 2. Numbers are decimal.
bool parse_devfn(std::string_view text, u32* devfn) {
    const auto dot = text.find('.');
    const std::string_view device_text = text.substr(0, dot);
    const std::string_view function_text = dot == std::string_view::npos ? "0" : text.substr(dot + 1);
    u32 device = 0, function = 0;
    const auto number = [](std::string_view t, u32* out) {
        const auto r = std::from_chars(t.data(), t.data() + t.size(), *out);
        return r.ec == std::errc{} && r.ptr == t.data() + t.size();
    };
    if (!number(device_text, &device) || !number(function_text, &function) || device > 31 || function > 7) return false;
    *devfn = device << 3 | function;
    return true;
}

}  // namespace

const bp_pci_bus I440fx::kBusTable{sizeof(bp_pci_bus), &I440fx::set_pin, &I440fx::place_of};

void I440fx::describe(Schema<I440fx>& s) {
    s.doc("Intel 440FX northbridge: RAM, PAM and SMRAM, PCI host bridge and bus 0");
    s.property("memory", &I440fx::memory_,
               {.doc = "size of the RAM, a multiple of 4 KiB", .def = "128M", .min = 1 << 20, .max = u64{1} << 40});
    s.property("hole", &I440fx::hole_,
               {.doc = "where RAM below 4 GiB ends at the latest; the rest continues at 4 GiB",
                .def = "0xe0000000",
                .min = 16 << 20,
                .max = 0xfec00000});
    s.ports<&I440fx::read_address, &I440fx::write_address>("address", 4, 4, "CONFADD: dword accesses only");
    s.ports<&I440fx::read_data, &I440fx::write_data>("data", 4, 1 | 2 | 4, "CONFDATA");
    s.offer(BP_COMMANDS_ID, &kCommands);
    s.bus<&I440fx::attach>("pci", BP_PCI_FUNCTION_ID, BP_PCI_BUS_ID,
                           "PCI bus 0; address: DEVICE.FUNCTION, DEVICE or \"auto\" (lowest free device)");
    s.lines_out("pirq", &I440fx::pirq_, "PIRQA-PIRQD: the slots' interrupt pins, swizzled and OR-ed");
    s.publishes("ram.layout", "numbers below_4g, above_4g, total in bytes");
    s.trace("config", &I440fx::config_, "configuration cycles");
}

bp_status I440fx::start() {
    host_.identify({.vendor = 0x8086, .device = 0x1237, .base_class = 0x06, .revision = 0x02});
    host_.on_write([this](u32 reg, u32 bytes) { own_written(reg, bytes); });
    place_automatically();
    for (const auto& place : places_)
        if (place->devfn == kUnplaced)
            return fail(BP_ERR_CONFLICT, "no free PCI device number is left for %s", place->child.c_str());
    return map_ram();
}

bp_status I440fx::map_ram() {
    if (memory_.value % 4096) return fail(BP_ERR_INVALID, "memory must be a multiple of 4 KiB");
    if (hole_.value % 4096) return fail(BP_ERR_INVALID, "hole must be a multiple of 4 KiB");
    const bp_ram_api& ram = slot().ram();
    const auto map = [&](u64 offset, u64 base, u64 size) {
        u32 mapping = 0;
        return ram.map(slot().self(), ram_, offset, base, size, BP_MAP_READ | BP_MAP_WRITE, BP_PRIORITY_RAM, &mapping);
    };
    if (const bp_status s = ram.create(slot().self(), to_bp("ram"), memory_.value, &ram_)) return s;
    // A0000h-FFFFFh is in the block, but only the windows below show it.
    if (const bp_status s = map(0, 0, kVgaWindow)) return s;
    if (below_4g() > k1Mib)
        if (const bp_status s = map(k1Mib, k1Mib, below_4g() - k1Mib)) return s;
    if (above_4g())
        if (const bp_status s = map(below_4g(), k4Gib, above_4g())) return s;

    if (const bp_status s = map_window(kVgaWindow, kVgaWindowSize, &smram_)) return s;
    pam_.clear();
    pam_.push_back({kPam0, 4, 0});
    if (const bp_status s = map_window(kBiosSegment, k1Mib - kBiosSegment, &pam_.back().mapping)) return s;
    u32 half = 2;  // in nibbles from PAM0
    for (u64 base = kPamStart; base < kBiosSegment; base += kPamSegment, ++half) {
        pam_.push_back({kPam0 + half / 2, half % 2 * 4, 0});
        if (const bp_status s = map_window(base, kPamSegment, &pam_.back().mapping)) return s;
    }
    return BP_OK;
}

bp_status I440fx::map_window(u64 base, u64 size, u32* mapping) {
    return slot().ram().map(slot().self(), ram_, base, base, size, 0, BP_PRIORITY_BRIDGE, mapping);
}

bp_status I440fx::publish() {
    return publish_fact("ram.layout", name(),
                        {{"below_4g", below_4g()}, {"above_4g", above_4g()}, {"total", memory_.value}});
}

void I440fx::reset(Reset kind) {
    // PAM and SMRAM hold their values through a system reset: firmware that resumes from S3 runs from the shadow RAM.
    if (kind != Reset::kPowerOn) return;
    host_.reset(kind);
    host_.set8(kSmram, kSmramPowerOn);
    protect_smram();
    address_ = 0;
    pins_.fill(0);
    for (LineOut& line : pirq_) line.lower();
    apply_pam();
    apply_smram();
}

void I440fx::state(StateVisitor& v) {
    v.group("host", [&] { host_.state(v); });
    v("address", address_);
    v("pins", pins_, {.max = 0x0f});
}

bp_status I440fx::restored() {
    host_.restored();
    protect_smram();
    apply_pam();
    apply_smram();
    return BP_OK;
}

// --- Bus
// ----------------------------------------------------------------------------------------------------------------

bp_status I440fx::attach(std::string_view address, std::string_view child_name, bp_interface child,
                         bp_interface* host) {
    u32 devfn = kUnplaced;
    const std::string text(address);
    if (!address.empty() && address != "auto" && !parse_devfn(address, &devfn))
        return fail(BP_ERR_INVALID,
                    "PCI address \"%s\" is not DEVICE, DEVICE.FUNCTION (device 0-31, function 0-7) or auto",
                    text.c_str());
    if (devfn == 0) return fail(BP_ERR_CONFLICT, "PCI address 0.0 is the host bridge itself");
    if (devfn != kUnplaced)
        if (const Place* other = find(devfn))
            return fail(BP_ERR_CONFLICT, "PCI address %u.%u is already taken by %s", devfn >> 3, devfn & 7,
                        other->child.c_str());
    places_.push_back(std::make_unique<Place>(Place{this, devfn, std::string(child_name), child}));
    *host = {&kBusTable, places_.back().get()};
    return BP_OK;
}

// Explicit addresses first, then each "auto" in the board's order: lowest device number of which no function is used.
void I440fx::place_automatically() {
    for (const auto& place : places_) {
        if (place->devfn != kUnplaced) continue;
        for (u32 device = 1; device < 32 && place->devfn == kUnplaced; ++device) {
            bool free = true;
            for (u32 function = 0; function < 8; ++function) free = free && !find(device << 3 | function);
            if (free) place->devfn = device << 3;
        }
    }
}

I440fx::Place* I440fx::find(u32 devfn) {
    for (const auto& place : places_)
        if (place->devfn == devfn) return place.get();
    return nullptr;
}

u32 I440fx::place_of(void* self) {
    Place& place = *static_cast<Place*>(self);
    // A child may ask in its start(), before this device's.
    if (place.devfn == kUnplaced) place.bridge->place_automatically();
    return place.devfn & (kFunctions - 1);
}

void I440fx::set_pin(void* self, u32 pin, int level) {
    if (pin < 1 || pin > 4) return;
    I440fx& bridge = *static_cast<Place*>(self)->bridge;
    const u32 devfn = place_of(self);
    const u8 bit = static_cast<u8>(1u << (pin - 1));
    bridge.pins_[devfn] = static_cast<u8>(level ? bridge.pins_[devfn] | bit : bridge.pins_[devfn] & ~bit);
    const u32 pirq = (pin - 1 + (devfn >> 3) + 3) & 3;
    bridge.pirq_[pirq].set(bridge.pirq_level(pirq));
}

// Pin p of device d drives PIRQ (p - 1 + d - 1) mod 4: the board's wiring, which the firmware's routing tables
// describe.
bool I440fx::pirq_level(u32 pirq) const {
    for (u32 devfn = 0; devfn < kFunctions; ++devfn)
        if (pins_[devfn] >> ((pirq + 1 - (devfn >> 3)) & 3) & 1) return true;
    return false;
}

// --- Configuration cycles
// -----------------------------------------------------------------------------------------------

u64 I440fx::read_address(u64, u32) { return address_; }
void I440fx::write_address(u64, u32, u64 value) { address_ = static_cast<u32>(value); }

u64 I440fx::read_data(u64 offset, u32 bytes) {
    const u32 reg = (address_ & 0xfc) | static_cast<u32>(offset);
    u32 value = 0;
    if (offset % bytes == 0) {
        value = config_read(reg, bytes);
    } else {
        for (u32 i = 0; i < bytes; ++i) value |= config_read(reg + i, 1) << (8 * i);
    }
    config_("read %02x.%u reg %02x: %0*x", address_ >> 11 & 0x1f, address_ >> 8 & 7, reg, static_cast<int>(2 * bytes),
            value);
    return value;
}

void I440fx::write_data(u64 offset, u32 bytes, u64 value) {
    const u32 reg = (address_ & 0xfc) | static_cast<u32>(offset);
    config_("write %02x.%u reg %02x: %0*x", address_ >> 11 & 0x1f, address_ >> 8 & 7, reg, static_cast<int>(2 * bytes),
            static_cast<u32>(value));
    if (offset % bytes == 0) {
        config_write(reg, bytes, static_cast<u32>(value));
    } else {
        for (u32 i = 0; i < bytes; ++i) config_write(reg + i, 1, static_cast<u8>(value >> (8 * i)));
    }
}

// Nobody answers (no enable bit, another bus, an empty slot): master abort, all ones.
u32 I440fx::config_read(u32 reg, u32 bytes) {
    if (!(address_ & kConfigEnable) || (address_ >> 16 & 0xff)) return ones(bytes);
    const u32 devfn = address_ >> 8 & 0xff;
    if (devfn == 0) return host_.read(reg, bytes);
    const Place* place = find(devfn);
    if (!place) return ones(bytes);
    const auto* table = static_cast<const bp_pci_function*>(place->function.table);
    return table->config_read(place->function.instance, reg, bytes) & ones(bytes);
}

void I440fx::config_write(u32 reg, u32 bytes, u32 value) {
    if (!(address_ & kConfigEnable) || (address_ >> 16 & 0xff)) return;
    const u32 devfn = address_ >> 8 & 0xff;
    if (devfn == 0) return host_.write(reg, bytes, value & ones(bytes));
    const Place* place = find(devfn);
    if (!place) return;
    const auto* table = static_cast<const bp_pci_function*>(place->function.table);
    table->config_write(place->function.instance, reg, bytes, value & ones(bytes));
}

// --- PAM and SMRAM
// ------------------------------------------------------------------------------------------------------

void I440fx::own_written(u32 reg, u32 bytes) {
    if (reg < kPam0 + 7 && reg + bytes > kPam0) apply_pam();
    if (reg <= kSmram && reg + bytes > kSmram) {
        protect_smram();
        apply_smram();
    }
}

void I440fx::apply_pam() {
    const bp_ram_api& ram = slot().ram();
    ram.begin(slot().self());
    for (const Window& window : pam_)
        ram.set_flags(slot().self(), window.mapping, pam_flags(host_.get8(window.reg) >> window.shift));
    ram.end(slot().self());
}

// C_BASE_SEG says A0000h and nothing else. The lock closes the window to everybody outside system management mode,
// until power-on.
void I440fx::protect_smram() {
    const u8 value = host_.get8(kSmram);
    const bool locked = value & kSmramLock;
    if (locked) host_.set8(kSmram, value & static_cast<u8>(~kSmramOpen));
    host_.writable(kSmram, 1, kSmramClosed | kSmramEnable | (locked ? 0 : kSmramOpen | kSmramLock));
}

// Where RAM replaces the VGA window: open, for everybody; enabled, for processors in system management mode, or
// (closed) for their code alone, so that the handler can draw on the screen.
void I440fx::apply_smram() {
    const u8 value = host_.get8(kSmram);
    u32 flags = 0;
    if (value & kSmramOpen)
        flags = BP_MAP_READ | BP_MAP_WRITE;
    else if (value & kSmramEnable)
        flags = BP_MAP_READ | BP_MAP_WRITE | (value & kSmramClosed ? BP_MAP_SMM_CODE : BP_MAP_SMM);
    slot().ram().set_flags(slot().self(), smram_, flags);
}

}  // namespace backplane
