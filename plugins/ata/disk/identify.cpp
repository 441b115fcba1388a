// IDENTIFY DEVICE: ATA/ATAPI-5, 8.12, and the 48-bit words of ATA/ATAPI-6, 6.17.
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

void Disk::identify() {
    IdentifyBlock block(buffer());
    const geometry::Chs& g = geometry_.physical;
    const u32 capacity = g.cylinders * g.heads * g.sectors;

    block.word(0, 0x0040);  // fixed drive
    block.word(1, g.cylinders);
    block.word(3, g.heads);
    block.word(4, 512 * g.sectors);  // unformatted bytes per track, per sector: retired, still expected by old tools
    block.word(5, 512);
    block.word(6, g.sectors);
    block.text(10, 10, serial_shown_.empty() ? default_serial(place()) : serial_shown_);
    block.word(20, 3);    // dual-ported buffer with look-ahead
    block.word(21, 512);  // buffer size in sectors
    block.word(22, 4);    // ECC bytes
    block.text(23, 4, version_);
    block.text(27, 20, model_);
    block.word(47, 0x8000 | kMaxMultiple);
    block.word(48, 0x0001);  // dword I/O
    block.word(49, 0x0b00);  // IORDY, LBA, DMA
    block.word(51, 0x0200);
    block.word(52, 0x0200);
    block.word(53, 0x0007);  // words 54-58, 64-70, 88 are valid
    block.word(54, g.cylinders);
    block.word(55, g.heads);
    block.word(56, g.sectors);
    block.word(57, capacity);
    block.word(58, capacity >> 16);
    block.word(59, multiple_ ? 0x0100u | multiple_ : 0u);
    block.word(60, static_cast<u32>(total_));  // not limited to 28 bits: 0.12 guests have seen it so
    block.word(61, static_cast<u32>(total_ >> 16));
    modes_.identify(block);
    for (u32 word = 65; word <= 68; ++word) block.word(word, 120);  // cycle times in ns
    block.word(80, 0x00f0);                                         // ATA/ATAPI-4 to -7
    block.word(81, 0x0016);
    block.word(82, 0x4001);  // NOP, SMART
    block.word(83, 0x7400);  // FLUSH CACHE (EXT), 48-bit addresses
    block.word(84, 0x4000);
    block.word(85, 0x4001u | (write_cache_ ? 1u << 5 : 0u));
    block.word(86, 0x7400);
    block.word(87, 0x4000);
    block.word(93, 0x6001);  // 80-conductor cable
    for (u32 i = 0; i < 4; ++i) block.word(100 + i, static_cast<u32>(total_ >> (16 * i)));
    reply();
}

}  // namespace backplane::ata
