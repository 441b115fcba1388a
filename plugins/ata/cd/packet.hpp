// A command packet and the sense data that answers a bad one: SPC-2 and MMC-3.
#pragma once

#include "model.hpp"

namespace backplane::ata {

// Twelve bytes, numbers high byte first.
struct Cd::Packet {
    const u8* bytes;
    u8 operator[](u32 at) const { return bytes[at]; }
    u32 word(u32 at) const { return static_cast<u32>(bytes[at]) << 8 | bytes[at + 1]; }
    u32 triple(u32 at) const { return static_cast<u32>(bytes[at]) << 16 | word(at + 1); }
    u32 dword(u32 at) const { return word(at) << 16 | word(at + 2); }
};

// Sense keys.
inline constexpr u8 kNotReady = 0x02;
inline constexpr u8 kMediumError = 0x03;
inline constexpr u8 kIllegalRequest = 0x05;
inline constexpr u8 kUnitAttention = 0x06;

// Additional sense codes.
inline constexpr u8 kUnrecoveredRead = 0x11;
inline constexpr u8 kInvalidOperation = 0x20;
inline constexpr u8 kBlockOutOfRange = 0x21;
inline constexpr u8 kInvalidField = 0x24;
inline constexpr u8 kMediumMayHaveChanged = 0x28;
inline constexpr u8 kIncompatibleFormat = 0x30;
inline constexpr u8 kSavingNotSupported = 0x39;
inline constexpr u8 kMediumNotPresent = 0x3a;
inline constexpr u8 kRemovalPrevented = 0x53;

// Interrupt reason, in the count register (ATA/ATAPI-5, 7.2 and 9.6): bit 0 command or end, bit 1 to the host.
inline constexpr u8 kReasonMask = 0x07;
inline constexpr u8 kReasonCommand = 0x01;
inline constexpr u8 kReasonDataIn = 0x02;
inline constexpr u8 kReasonEnd = 0x03;

inline void put_word(u8* at, u32 value) {
    at[0] = static_cast<u8>(value >> 8);
    at[1] = static_cast<u8>(value);
}
inline void put_dword(u8* at, u32 value) {
    put_word(at, value >> 16);
    put_word(at + 2, value);
}
// Minute, second, frame: 75 frames a second, and the first sector lies at two seconds.
inline void put_time(u8* at, u32 sector) {
    const u32 frames = sector + 150;
    at[0] = static_cast<u8>(frames / 75 / 60);
    at[1] = static_cast<u8>(frames / 75 % 60);
    at[2] = static_cast<u8>(frames % 75);
}

}  // namespace backplane::ata
