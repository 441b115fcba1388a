#include "model.hpp"

#include <algorithm>

namespace backplane {
namespace {

// Configuration registers (7.1).
constexpr u32 kPmBase = 0x40;   // PMBA
constexpr u32 kDevactB = 0x58;  // bit 25: APMC_EN
constexpr u32 kSmmEnable = 0x5b;
constexpr u32 kDevresA = 0x5c;
constexpr u32 kDevresH = 0x63;
constexpr u32 kDevresB = 0x64;
constexpr u32 kPmEnable = 0x80;  // PMREGMISC: bit 0 decodes the PM block
constexpr u32 kSmbusBase = 0x90;
constexpr u32 kSmbusHostConfig = 0xd2;

constexpr u8 kApmcEnable = 1u << 1;
constexpr u8 kLpt1Present = 0x80;
constexpr u8 kCom1Present = 0x08;
constexpr u8 kCom2Present = 0x90;

constexpr u64 kPmLength = 0x40;
constexpr u64 kEject = 0x08;

// What the FADT of the firmware names to switch ACPI mode on and off.
constexpr u8 kAcpiEnable = 0xf1;
constexpr u8 kAcpiDisable = 0xf0;
constexpr u16 kSciEnable = 1u << 0;

constexpr bp_power kPower{sizeof(bp_power), [](void* i) { return static_cast<Piix4Pm*>(i)->press(); }};

}  // namespace

void Piix4Pm::describe(Schema<Piix4Pm>& s) {
    s.doc("PIIX4 power management: ACPI registers, timer, APM ports, SMBus with eight EEPROMs, hot-plug registers");
    s.property("com1", &Piix4Pm::com1_, {.doc = "a first serial port is present", .def = "true"});
    s.property("com2", &Piix4Pm::com2_, {.doc = "a second serial port is present", .def = "false"});
    s.property("lpt1", &Piix4Pm::lpt1_, {.doc = "a parallel port is present", .def = "true"});
    s.property("resume_register", &Piix4Pm::resume_register_,
               {.doc = "byte of nvram that tells the firmware to resume", .def = "0x0f"});
    s.property("resume_code", &Piix4Pm::resume_code_, {.doc = "its value", .def = "0xfe"});
    plug_pci<&Piix4Pm::pci_>(s);
    s.ports<&Piix4Pm::pm_read, &Piix4Pm::pm_write>("pm", kPmLength, 1 | 2 | 4, "ACPI registers; placed by the guest",
                                                   &Piix4Pm::pm_);
    s.ports<&Piix4Pm::apm_read, &Piix4Pm::apm_write>("apm", 2, 1, "APM control and status");
    s.ports<&Piix4Pm::gpe_read, &Piix4Pm::gpe_write>("gpe", 4, 1, "general-purpose events: status, enable");
    s.ports<&Piix4Pm::slots_read, &Piix4Pm::slots_write>("slots", 12, 4, "PCI hot-plug: up, down, eject");
    s.ports<&Piix4Pm::cpus_read, nullptr>("cpus", 32, 1, "bitmap of the present processors");
    s.ports<nullptr, &Piix4Pm::debug_write>("debug", 4, 4, "debug output of ACPI tables");
    s.ports<&Piix4Pm::smbus_read, &Piix4Pm::smbus_write>("smbus", 64, 1, "SMBus host");
    s.line_out("sci", &Piix4Pm::sci_, "system control interrupt");
    s.line_out("smi", &Piix4Pm::smi_, "system management interrupt, a pulse");
    s.line_in<&Piix4Pm::power_button>("power_button", "a press is a rise");
    s.timer<&Piix4Pm::timer_overflows>("overflow", &Piix4Pm::timer_);
    s.link("nvram", &Piix4Pm::nvram_, BP_NVRAM_ID, "where the resume code goes for S3", true);
    s.offer(BP_POWER_ID, &kPower);
    s.consumes("cpu.count", "boot: processors present at power-on");
}

bp_status Piix4Pm::start() {
    pci_.identify({.vendor = 0x8086,
                   .device = 0x7113,
                   .base_class = 0x06,
                   .subclass = 0x80,
                   .revision = 0x03,
                   .interrupt_pin = 1});
    pci_.on_write([this](u32 reg, u32 bytes) {
        place_pm();
        if (reg <= kSmmEnable && reg + bytes > kSmmEnable) apmc_smi_ = pci_.get8(kSmmEnable) & kApmcEnable;
    });
    return BP_OK;
}

bp_status Piix4Pm::consume(const Fact& fact) {
    cpus_ = static_cast<u32>(std::clamp<u64>(fact.number("boot", 1), 1, 255));
    return BP_OK;
}

// A system reset leaves the PM block, its place and the event registers alone: the way into S3 sets the wake status
// just before it, and the firmware finds it there.
void Piix4Pm::reset(Reset kind) {
    pci_.reset(kind);
    if (kind == Reset::kPowerOn) {
        pci_.set16(kPciStatus, 0x0280);
        pci_.set32(kPmBase, 0x00000001);
        pci_.set8(kDevresA + 3, 0x10 | (lpt1_ ? kLpt1Present : 0));
        pci_.set8(kDevresH, 0x60);
        pci_.set8(kDevresB + 3, (com1_ ? kCom1Present : 0) | (com2_ ? kCom2Present : 0));
        pci_.set32(kSmbusBase, 0x0000b101);
        pci_.set8(kSmbusHostConfig, 0x09);
        pm_status_ = pm_enable_ = pm_control_ = 0;
        next_overflow_ = 0;
        gpe_.fill(0);
        slots_up_ = slots_down_ = 0;
        smbus_.power_on();
    }
    pci_.set32(kDevactB, 0);
    apmc_smi_ = false;
    apm_control_ = apm_status_ = 0;
    smbus_.reset();
    smi_.lower();
    place_pm();
    update_sci();
}

void Piix4Pm::state(StateVisitor& v) {
    pci_.state(v);
    v("pm_status", pm_status_);
    v("pm_enable", pm_enable_);
    v("pm_control", pm_control_);
    v("next_overflow", next_overflow_);
    v("apm_control", apm_control_);
    v("apm_status", apm_status_);
    v("apmc_smi", apmc_smi_, {.since = 2});
    v("gpe", gpe_);
    v("slots_up", slots_up_);
    v("slots_down", slots_down_);
    v.group("smbus", [&] { smbus_.state(v); });
}

bp_status Piix4Pm::restored() {
    pci_.restored();
    place_pm();
    return BP_OK;
}

void Piix4Pm::place_pm() {
    const u32 base = pci_.get8(kPmEnable) & 1 ? pci_.get16(kPmBase) & ~static_cast<u32>(kPmLength - 1) : 0;
    if (base == pm_base_) return;
    pm_base_ = base;
    if (base)
        pm_.map(base, BP_PRIORITY_FIXED);
    else
        pm_.unmap();
}

// --- APM
// ----------------------------------------------------------------------------------------------------------------

u64 Piix4Pm::apm_read(u64 offset, u32) { return offset == 0 ? apm_control_ : apm_status_; }

void Piix4Pm::apm_write(u64 offset, u32, u64 value) {
    if (offset != 0) {
        apm_status_ = static_cast<u8>(value);
        return;
    }
    apm_control_ = static_cast<u8>(value);
    // Done here and not by an SMI handler: the firmware's handler does nothing for these two.
    if (apm_control_ == kAcpiEnable) pm_control_ |= kSciEnable;
    if (apm_control_ == kAcpiDisable) pm_control_ &= ~kSciEnable;
    if (apmc_smi_) smi_.pulse();
}

// --- General-purpose events and hot-plug
// --------------------------------------------------------------------------------

u64 Piix4Pm::gpe_read(u64 offset, u32) { return gpe_[offset & 3]; }

void Piix4Pm::gpe_write(u64 offset, u32, u64 value) {
    u8& reg = gpe_[offset & 3];
    reg = offset < 2 ? reg & static_cast<u8>(~value) : static_cast<u8>(value);
    update_sci();
}

u64 Piix4Pm::slots_read(u64 offset, u32) { return offset == 0 ? slots_up_ : offset == 4 ? slots_down_ : 0; }

void Piix4Pm::slots_write(u64 offset, u32, u64 value) {
    if (offset == 0) slots_up_ = static_cast<u32>(value);
    if (offset == 4) slots_down_ = static_cast<u32>(value);
    if (offset == kEject && value)
        log_unimplemented("the guest ejects PCI slot %d; cards stay where they are",
                          __builtin_ctz(static_cast<u32>(value)));
}

u64 Piix4Pm::cpus_read(u64 offset, u32) {
    u8 bits = 0;
    for (u32 i = 0; i < 8; ++i)
        if (8 * offset + i < cpus_) bits |= static_cast<u8>(1u << i);
    return bits;
}

void Piix4Pm::debug_write(u64, u32, u64 value) { log_debug("ACPI debug: %08x", static_cast<u32>(value)); }

u64 Piix4Pm::smbus_read(u64 offset, u32) { return smbus_.read(offset); }
void Piix4Pm::smbus_write(u64 offset, u32, u64 value) { smbus_.write(offset, static_cast<u8>(value)); }

}  // namespace backplane
