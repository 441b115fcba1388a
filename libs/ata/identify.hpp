// Parts of IDENTIFY DEVICE and IDENTIFY PACKET DEVICE that disks and packet devices have in common (ATA/ATAPI-5, 8.12
// and 8.13), and the transfer modes that it reports.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

#include "backplane/abi/ata.h"
#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane::ata {

inline constexpr std::size_t kSerialChars = 20;
inline constexpr std::size_t kVersionChars = 8;
inline constexpr std::size_t kModelChars = 40;

// Writes the 256 words of an answer, which begins as zeros.
class IdentifyBlock {
  public:
    static constexpr u32 kBytes = 512;
    explicit IdentifyBlock(u8* bytes) : bytes_(bytes) { std::fill_n(bytes, kBytes, u8{0}); }

    void word(u32 index, u32 value) {
        bytes_[2 * index] = static_cast<u8>(value);
        bytes_[2 * index + 1] = static_cast<u8>(value >> 8);
    }
    // Characters are stored high byte first in each word, padded with blanks.
    void text(u32 index, u32 words, std::string_view characters) {
        for (u32 i = 0; i < 2 * words; ++i)
            bytes_[2 * index + (i ^ 1)] = i < characters.size() ? static_cast<u8>(characters[i]) : static_cast<u8>(' ');
    }

  private:
    u8* bytes_;
};

// The serial number that a drive has if nobody gave it one: by its position.
inline std::string default_serial(const bp_ata_place& place) {
    char text[16];
    std::snprintf(text, sizeof text, "QM%05u", place.channel * 2 + place.device + 1);
    return text;
}

// DMA modes that SET FEATURES 03h has selected, one bit each.
struct TransferModes {
    u8 single = 0, multi = 0, ultra = 0;

    void reset() { single = multi = 0, ultra = 1u << 5; }
    // The count register: class in bits 7:3, mode in 2:0 (ATA/ATAPI-5, table 20). False: no such class.
    bool select(u8 count) {
        const u8 bit = static_cast<u8>(1u << (count & 7));
        switch (count >> 3) {
            case 0:  // PIO default
            case 1:  // PIO flow control
                single = multi = ultra = 0;
                return true;
            case 2:
                single = bit;
                multi = ultra = 0;
                return true;
            case 4:
                multi = bit;
                single = ultra = 0;
                return true;
            case 8:
                ultra = bit;
                single = multi = 0;
                return true;
            default: return false;
        }
    }
    void state(StateVisitor& v) { v("single_modes", single), v("multi_modes", multi), v("ultra_modes", ultra); }
    void identify(IdentifyBlock& block) const {
        block.word(62, 0x0007u | static_cast<u32>(single) << 8);
        block.word(63, 0x0007u | static_cast<u32>(multi) << 8);
        block.word(88, 0x003fu | static_cast<u32>(ultra) << 8);
    }
};

}  // namespace backplane::ata
