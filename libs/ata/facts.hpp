// What an IDE adapter tells the board about its hard disks.
#pragma once

#include <initializer_list>
#include <string>

#include "ata/channel.hpp"
#include "backplane/device.hpp"

namespace backplane::ata {

// One fact "disk.geometry" for each hard disk: key "0" primary master, "1" primary slave, "2" secondary master, "3"
// secondary slave. Publish: bp_status (std::string_view key, std::initializer_list<FactField> fields).
template <class Publish>
bp_status publish_geometry(const Channel& channel, unsigned number, Publish publish) {
    for (unsigned device = 0; device < 2; ++device) {
        bp_ata_info d{};
        if (!channel.info(device, &d) || d.kind != BP_ATA_KIND_DISK || d.sectors_total == 0) continue;
        const bp_status status = publish(std::to_string(number * 2 + device), {{"cylinders", d.cylinders},
                                                                               {"heads", d.heads},
                                                                               {"sectors", d.sectors},
                                                                               {"translation", d.translation},
                                                                               {"lcylinders", d.lcylinders},
                                                                               {"lheads", d.lheads},
                                                                               {"lsectors", d.lsectors},
                                                                               {"sectors_total", d.sectors_total},
                                                                               {"reason", 0, to_view(d.reason)}});
        if (status != BP_OK) return status;
    }
    return BP_OK;
}

}  // namespace backplane::ata
