// IDENTIFY DEVICE: ATA/ATAPI-5, 8.12, and the 48-bit words of ATA/ATAPI-6, 6.17.
#include <algorithm>
#include <cstdio>

#include "model.hpp"

namespace backplane::ata {

// 512 bytes for the host, in the buffer.
void Disk::reply() {
    work_ = Work::kReply;
    block_ = 1;
    position_ = 0;
    end_ = filled_ = kSectorBytes;
    phase_ = Phase::kHostReads;
    status_ = kStatusReady | kStatusSeek | kStatusRequest;
    intrq(true);
}

void Disk::put_word(u32 word, u32 value) {
    buffer()[2 * word] = static_cast<u8>(value);
    buffer()[2 * word + 1] = static_cast<u8>(value >> 8);
}

// Characters are stored high byte first in each word, padded with blanks.
void Disk::put_text(u32 word, u32 words, std::string_view text) {
    for (u32 i = 0; i < 2 * words; ++i)
        buffer()[2 * word + (i ^ 1)] = i < text.size() ? static_cast<u8>(text[i]) : static_cast<u8>(' ');
}

void Disk::identify() {
    std::fill_n(buffer(), kSectorBytes, u8{0});
    const geometry::Chs& g = geometry_.physical;
    const u32 capacity = g.cylinders * g.heads * g.sectors;

    std::string serial = serial_shown_;
    if (serial.empty()) {
        const bp_ata_place at = place();
        char text[16];
        std::snprintf(text, sizeof text, "QM%05u", at.channel * 2 + at.device + 1);
        serial = text;
    }

    put_word(0, 0x0040);  // fixed drive
    put_word(1, g.cylinders);
    put_word(3, g.heads);
    put_word(4, 512 * g.sectors);  // unformatted bytes per track, per sector: retired, still expected by old tools
    put_word(5, 512);
    put_word(6, g.sectors);
    put_text(10, 10, serial);
    put_word(20, 3);    // dual-ported buffer with look-ahead
    put_word(21, 512);  // buffer size in sectors
    put_word(22, 4);    // ECC bytes
    put_text(23, 4, version_);
    put_text(27, 20, model_);
    put_word(47, 0x8000 | kMaxMultiple);
    put_word(48, 0x0001);  // dword I/O
    put_word(49, 0x0b00);  // IORDY, LBA, DMA
    put_word(51, 0x0200);
    put_word(52, 0x0200);
    put_word(53, 0x0007);  // words 54-58, 64-70, 88 are valid
    put_word(54, g.cylinders);
    put_word(55, g.heads);
    put_word(56, g.sectors);
    put_word(57, capacity);
    put_word(58, capacity >> 16);
    put_word(59, multiple_ ? 0x0100u | multiple_ : 0u);
    put_word(60, static_cast<u32>(total_));  // not limited to 28 bits: 0.12 guests have seen it so
    put_word(61, static_cast<u32>(total_ >> 16));
    put_word(62, 0x0007u | static_cast<u32>(single_modes_) << 8);
    put_word(63, 0x0007u | static_cast<u32>(multi_modes_) << 8);
    for (u32 word = 65; word <= 68; ++word) put_word(word, 120);  // cycle times in ns
    put_word(80, 0x00f0);                                         // ATA/ATAPI-4 to -7
    put_word(81, 0x0016);
    put_word(82, 0x4001);  // NOP, SMART
    put_word(83, 0x7400);  // FLUSH CACHE (EXT), 48-bit addresses
    put_word(84, 0x4000);
    put_word(85, 0x4001u | (write_cache_ ? 1u << 5 : 0u));
    put_word(86, 0x7400);
    put_word(87, 0x4000);
    put_word(88, 0x003fu | static_cast<u32>(ultra_modes_) << 8);
    put_word(93, 0x6001);  // 80-conductor cable
    for (u32 i = 0; i < 4; ++i) put_word(100 + i, static_cast<u32>(total_ >> (16 * i)));
    reply();
}

}  // namespace backplane::ata
