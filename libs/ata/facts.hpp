// What an IDE adapter tells the board about its drives.
#pragma once

#include <initializer_list>
#include <string>

#include "ata/channel.hpp"
#include "backplane/device.hpp"

namespace backplane::ata {

// Name of a drive in the firmware's device tree, below its controller's name; empty if that is.
inline std::string firmware_path(const std::string& controller, unsigned channel, unsigned device) {
    if (controller.empty()) return {};
    return controller + "/drive@" + std::to_string(channel) + "/disk@" + std::to_string(device);
}

// Facts about the drives of a channel: "disk.geometry" for each hard disk, and "disk.boot" for each drive, disk or
// CD-ROM, that has a place in the boot order. Keys: "0" primary master, "1" primary slave, "2" secondary master, "3"
// secondary slave. `controller`: its name in the firmware's device tree. Publish: bp_status (std::string_view what,
// std::string_view key, std::initializer_list<FactField> fields).
template <class Publish>
bp_status publish_drives(const Channel& channel, unsigned number, const std::string& controller, Publish publish) {
    for (unsigned device = 0; device < 2; ++device) {
        bp_ata_info d{};
        d.boot_index = -1;
        if (!channel.info(device, &d)) continue;
        const std::string key = std::to_string(number * 2 + device);
        const std::string path = firmware_path(controller, number, device);
        if (d.boot_index >= 0) {
            const bp_status status =
                publish("disk.boot", key, {{"index", static_cast<u64>(d.boot_index)}, {"path", 0, path}});
            if (status != BP_OK) return status;
        }
        if (d.kind != BP_ATA_KIND_DISK || d.sectors_total == 0) continue;
        const bp_status status = publish("disk.geometry", key,
                                         {{"cylinders", d.cylinders},
                                          {"heads", d.heads},
                                          {"sectors", d.sectors},
                                          {"translation", d.translation},
                                          {"lcylinders", d.lcylinders},
                                          {"lheads", d.lheads},
                                          {"lsectors", d.lsectors},
                                          {"logical_given", d.logical_given},
                                          {"sectors_total", d.sectors_total},
                                          {"path", 0, path},
                                          {"reason", 0, to_view(d.reason)}});
        if (status != BP_OK) return status;
    }
    return BP_OK;
}

}  // namespace backplane::ata
