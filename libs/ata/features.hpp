// Subcommands of SET FEATURES (ATA/ATAPI-5, 8.37) that the board's drives accept; those that change nothing here are
// listed because guests send them.
#pragma once

#include "backplane/types.hpp"

namespace backplane::ata {

enum Feature : u8 {
    kEnableWriteCache = 0x02,
    kTransferMode = 0x03,
    kEnableApm = 0x05,
    kEnableAam = 0x42,
    kDisableLookAhead = 0x55,
    kKeepSettings = 0x66,
    kEccLength = 0x67,  // obsolete
    kPowerUpInStandby = 0x69,
    kDisableWriteCache = 0x82,
    kDisableApm = 0x85,
    kNop96 = 0x96,
    kNop9a = 0x9a,
    kEnableLookAhead = 0xaa,
    kDisableAam = 0xc2,
    kRevertSettings = 0xcc,
};

constexpr bool without_effect(u8 feature) {
    switch (feature) {
        case kEnableApm:
        case kEnableAam:
        case kDisableLookAhead:
        case kKeepSettings:
        case kEccLength:
        case kPowerUpInStandby:
        case kDisableApm:
        case kNop96:
        case kNop9a:
        case kEnableLookAhead:
        case kDisableAam:
        case kRevertSettings: return true;
        default: return false;
    }
}

}  // namespace backplane::ata
