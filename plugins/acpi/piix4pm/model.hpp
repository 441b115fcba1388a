// Intel 82371AB (PIIX4) power management, function 3 (data sheet 290562-001, April 1997): ACPI registers, power
// management timer, APM ports, SMBus host; with the general-purpose event block and the hot-plug registers that a
// virtual PC's ACPI tables use.
#pragma once

#include <array>

#include "backplane/abi/backend.h"
#include "backplane/abi/power.h"
#include "backplane/device.hpp"
#include "backplane/pci.hpp"
#include "smbus.hpp"

namespace backplane {

struct Piix4Pm : Device<Piix4Pm> {
    static constexpr std::string_view kType = "acpi.piix4pm";
    static constexpr u32 kStateVersion = 2;
    using Device::Device;

    static void describe(Schema<Piix4Pm>& s);
    bp_status start();
    bp_status consume(const Fact& fact);
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

    // ACPI fixed registers (7.2), relocatable.
    u64 pm_read(u64 offset, u32 bytes);
    void pm_write(u64 offset, u32 bytes, u64 value);
    void timer_overflows(i64 due);
    // APM control and status (7.1.1, 7.1.2).
    u64 apm_read(u64 offset, u32 bytes);
    void apm_write(u64 offset, u32 bytes, u64 value);
    // General-purpose events and hot-plug.
    u64 gpe_read(u64 offset, u32 bytes);
    void gpe_write(u64 offset, u32 bytes, u64 value);
    u64 slots_read(u64 offset, u32 bytes);
    void slots_write(u64 offset, u32 bytes, u64 value);
    u64 cpus_read(u64 offset, u32 bytes);
    void debug_write(u64 offset, u32 bytes, u64 value);
    u64 smbus_read(u64 offset, u32 bytes);
    void smbus_write(u64 offset, u32 bytes, u64 value);

    void power_button(bool level);
    int press();

  private:
    u16 pm_word(u64 offset);
    void pm_write_word(u64 offset, u16 value, u16 mask);
    u64 ticks() const;
    void latch_overflow();
    void sleep(u32 type);
    bool sci_level() const;
    void update_sci();
    void place_pm();

    // Properties.
    bool com1_ = true;
    bool com2_ = false;
    bool lpt1_ = true;
    u8 resume_register_ = 0x0f;
    u8 resume_code_ = 0xfe;

    // Guest-visible state.
    PciFunction pci_;
    u16 pm_status_ = 0;      // PMSTS
    u16 pm_enable_ = 0;      // PMEN
    u16 pm_control_ = 0;     // PMCNTRL
    u64 next_overflow_ = 0;  // tick at which the timer's bit 23 toggles next
    u8 apm_control_ = 0;
    u8 apm_status_ = 0;
    // APMC_EN as the guest wrote it. Snapshots of state version 1 may have the bit set without a handler for the SMI:
    // boards told the firmware so that it left SMM alone.
    bool apmc_smi_ = false;
    std::array<u8, 4> gpe_{};  // status 0-1, enable 2-3
    u32 slots_up_ = 0;
    u32 slots_down_ = 0;
    SmbusHost smbus_;

    u32 cpus_ = 1;     // present
    u32 pm_base_ = 0;  // where the PM region is, 0: nowhere
    Region pm_;
    Timer timer_;
    LineOut sci_;
    LineOut smi_;
    Link<bp_nvram> nvram_;
};

}  // namespace backplane
