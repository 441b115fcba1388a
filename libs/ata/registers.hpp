// Bits of the ATA task file (ATA/ATAPI-5, T13/1321D, section 7) that channels and drives share.
#pragma once

#include "backplane/types.hpp"

namespace backplane::ata {

// Status register, 7.15.
inline constexpr u8 kStatusBusy = 0x80;
inline constexpr u8 kStatusReady = 0x40;
inline constexpr u8 kStatusFault = 0x20;
inline constexpr u8 kStatusSeek = 0x10;  // "seek complete" until ATA-3
inline constexpr u8 kStatusRequest = 0x08;
inline constexpr u8 kStatusError = 0x01;

// Error register, 7.9.
inline constexpr u8 kErrorUncorrectable = 0x40;
inline constexpr u8 kErrorAbort = 0x04;
inline constexpr u8 kErrorPassed = 0x01;  // diagnostic code: device 0 passed

// Device/head register, 7.7. Bits 7 and 5 read as ones since the days of the ST-506 controller.
inline constexpr u8 kDeviceFixed = 0xa0;
inline constexpr u8 kDeviceLba = 0x40;
inline constexpr u8 kDeviceSelect = 0x10;
inline constexpr u8 kDeviceHead = 0x0f;

// Device control register, 7.8.
inline constexpr u8 kControlNoInterrupt = 0x02;  // nIEN
inline constexpr u8 kControlReset = 0x04;        // SRST

}  // namespace backplane::ata
