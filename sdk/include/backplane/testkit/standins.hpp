// All stand-ins by interface id: one for every interface of backplane/abi.
#pragma once

#include "backplane/testkit/standins_ata.hpp"
#include "backplane/testkit/standins_buses.hpp"
#include "backplane/testkit/standins_console.hpp"
#include "backplane/testkit/standins_cpu.hpp"
#include "backplane/testkit/standins_drive.hpp"
#include "backplane/testkit/standins_interrupts.hpp"
#include "backplane/testkit/standins_storage.hpp"

namespace backplane::testkit {

inline const std::vector<StandinKind>& standard_standins() {
    static const std::vector<StandinKind> kinds = {
        {BP_BLOCK_ID, Role::kLink, make_standin<BlockStandin>},
        {BP_BLOCK_ID, Role::kUser, make_standin<BlockUser>},
        {BP_DRIVE_ID, Role::kLink, make_standin<DriveStandin>},
        {BP_CHARDEV_ID, Role::kLink, make_standin<CharStandin>},
        {BP_CHARDEV_ID, Role::kUser, make_standin<CharUser>},
        {BP_NVRAM_ID, Role::kLink, make_standin<NvramStandin>},
        {BP_NVRAM_ID, Role::kUser, make_standin<NvramUser>},
        {BP_KEYBOARD_ID, Role::kLink, make_standin<ConsoleStandin::As<bp_keyboard>>},
        {BP_KEYBOARD_ID, Role::kUser, make_standin<KeyboardUser>},
        {BP_MOUSE_ID, Role::kLink, make_standin<ConsoleStandin::As<bp_mouse>>},
        {BP_MOUSE_ID, Role::kUser, make_standin<MouseUser>},
        {BP_DISPLAY_ID, Role::kLink, make_standin<ConsoleStandin::As<bp_display>>},
        {BP_DISPLAY_ID, Role::kUser, make_standin<DisplayUser>},
        {BP_POWER_ID, Role::kLink, make_standin<ConsoleStandin::As<bp_power>>},
        {BP_POWER_ID, Role::kUser, make_standin<PowerUser>},
        {BP_INTR_ID, Role::kLink, make_standin<IntrStandin>},
        {BP_INTR_ID, Role::kUser, make_standin<IntrUser>},
        {BP_APIC_BUS_ID, Role::kLink, make_standin<ApicBusStandin>},
        {BP_APIC_BUS_ID, Role::kUser, make_standin<ApicBusUser>},
        {BP_MSI_ID, Role::kLink, make_standin<MsiStandin>},
        {BP_MSI_ID, Role::kUser, make_standin<MsiUser>},
        {BP_ISA_DMA_ID, Role::kLink, make_standin<IsaDmaStandin>},
        {BP_ISA_DMA_ID, Role::kUser, make_standin<IsaDmaUser>},
        {BP_CPU_ID, Role::kUser, make_standin<CpuUser>},
        {BP_PCI_BUS_ID, Role::kHost, make_standin<PciHost>},
        {BP_PCI_FUNCTION_ID, Role::kChild, make_standin<PciChild>, {"5", "5.0", "0", ""}},
        {BP_ATA_BUS_ID, Role::kHost, make_standin<AtaHost>},
        {BP_ATA_DEVICE_ID, Role::kChild, make_standin<AtaChild>, {"0", ""}},
        {BP_PS2_PORT_ID, Role::kHost, make_standin<Ps2Host>},
        {BP_PS2_DEVICE_ID, Role::kChild, make_standin<Ps2Child>, {"", "0"}},
        {BP_FW_CFG_ID, Role::kHost, make_standin<FwCfgHost>},
        {BP_FW_CFG_SOURCE_ID, Role::kChild, make_standin<FwCfgChild>, {"etc/check", ""}},
    };
    return kinds;
}

inline const StandinKind* find_standin(const std::vector<StandinKind>& kinds, std::string_view id, Role role) {
    for (const StandinKind& kind : kinds)
        if (kind.id == id && kind.role == role) return &kind;
    return nullptr;
}

}  // namespace backplane::testkit
