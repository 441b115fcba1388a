// ATAPI CD/DVD-ROM drive: what qemu-kvm 0.12 shows as "QEMU DVD-ROM". ATA/ATAPI-5 (T13/1321D) for the registers and the
// PACKET protocol, MMC-3 (T10/1363-D) and SPC-2 for the commands in packets. Reads discs; each is one data track.
//
// The medium comes from a drive that may be empty, and may change while the machine runs. What the drive says of it is
// asked for anew by each command, so nothing here can be out of date.
//
// Every read of the medium is asynchronous: the drive is busy until the image answers.
#pragma once

#include <array>
#include <string>

#include "ata/identify.hpp"
#include "ata/medium_access.hpp"
#include "ata/registers.hpp"
#include "backplane/abi/ata.h"
#include "backplane/abi/drive.h"
#include "backplane/device.hpp"

namespace backplane::ata {

class Cd final : public Device<Cd>, private MediumAccess::Owner {
  public:
    static constexpr std::string_view kType = "ata.cd";
    static constexpr u32 kSectorBytes = 2048;
    static constexpr u32 kRawBytes = 2352;
    static constexpr u32 kChunkSectors = 32;
    // The medium is read to the same place each time. What of an earlier read the host has not taken yet lies before
    // it, so that a block for the host may reach from one read into the next.
    static constexpr u32 kReadAt = 65536;
    static constexpr u32 kBufferBytes = kReadAt + kChunkSectors * kRawBytes;
    static constexpr u32 kPacketBytes = 12;

    explicit Cd(const Slot& slot) : Device(slot), access_(this->slot(), *this, kBufferBytes) {}

    static void describe(Schema<Cd>& s);
    bp_status start();
    void stop();
    void connect();
    bp_status publish();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    // What the current command does.
    enum class Work : u8 { kNone, kAtaReply, kPacket, kReply, kRead };
    // What the drive waits for.
    enum class Phase : u8 { kIdle, kHostReads, kHostWrites, kDmaIn, kMedium };
    // How a new medium is made known: as if the tray had been open, then as a change. Guests that poll notice both.
    enum class Change : u8 { kNone, kNotReady, kAttention };
    struct Sense {
        u8 key = 0, code = 0;  // additional sense code; its qualifier is always 0
    };
    struct Packet;

    // --- The channel's view, and the drive's (model.cpp) ---
    static const bp_ata_device kTable;
    static const bp_drive_listener kListener;
    void info(bp_ata_info* out);
    u8 read(u32 reg);
    void write(u32 reg, u8 value);
    void control(u8 value);
    u32 data_read(u32 bytes);
    void data_write(u32 bytes, u32 value);
    void* dma_window(u32* bytes, int* to_memory);
    void dma_advance(u32 bytes);
    void dma_cancel();
    void medium_changed();

    bp_ata_place place() const;
    void intrq(bool level);
    void set_signature();
    std::string_view inconsistent() const;
    // Sectors of 2048 bytes; 0: no medium, or the tray is open.
    u32 disc_sectors() const;

    // --- ATA commands (commands.cpp) ---
    void command(u8 code);
    void abort_command();
    void abort_with_signature();
    void complete(u8 status, bool interrupt);
    void set_features();
    void identify();
    void packet_command();

    // --- Commands in packets (packet.cpp, disc.cpp) ---
    void packet();
    void end_packet();
    void fail_packet(Sense sense);
    void request_sense(const Packet& p);
    void inquiry(const Packet& p);
    void mode_sense(const Packet& p, u32 allocated, u32 header);
    void start_stop(const Packet& p);
    void configuration(const Packet& p);
    void mechanism(const Packet& p);
    void capacity();
    void toc(const Packet& p);
    void dvd_structure(const Packet& p);
    void seek(const Packet& p);
    void read_cd(const Packet& p);

    // --- Data (transfer.cpp) ---
    u8* buffer() { return access_.buffer(); }
    void reply(u32 bytes, u32 allocated);
    void read_sectors(u32 first, u32 count, u32 bytes_each);
    bool limit_fits(u32 total);
    void fetch();
    void accessed(i32 error) override;
    void make_raw(u32 count);
    void offer();
    void window_done();
    void cancel();
    void completion(i64) { access_.expired(); }
    u32 byte_limit() const;
    u64 bytes_to_come() const { return (filled_ - position_) + u64{left_} * sector_bytes_; }

    // Configuration.
    std::string serial_, version_, model_;
    Duration latency_;
    Link<bp_drive> drive_;
    Link<bp_ata_bus> bus_;
    MediumAccess access_;
    TracePoint trace_command_;
    std::string serial_shown_;
    i32 boot_index_ = -1;

    // Task file.
    u8 features_ = 0, count_ = 0, low_ = 0, mid_ = 0, high_ = 0;
    u8 error_ = 0, device_ = 0, status_ = 0, control_ = 0;
    TransferModes modes_;

    // The packet device.
    Sense sense_;
    Change change_ = Change::kNone;
    bool locked_ = false;

    // The command in progress.
    Work work_ = Work::kNone;
    Phase phase_ = Phase::kIdle;
    bool by_dma_ = false;
    std::array<u8, kPacketBytes> packet_{};
    u32 position_ = 0;  // in the buffer: next byte for the host,
    u32 end_ = 0;       // end of the DRQ block or DMA window,
    u32 filled_ = 0;    // end of valid data
    u32 lba_ = 0;       // next sector to read,
    u32 left_ = 0;      // how many,
    u32 sector_bytes_ = kSectorBytes;
    u32 reading_ = 0;      // and how many are being read
    bool single_ = false;  // sector by sector, to find the bad one
    bool bad_ = false;     // the sector at lba_ failed; what was read before it still goes to the host

    bool moving_tray_ = false;  // the guest moves the tray; not state
    u32 reported_ = 0;          // host errors logged
};

}  // namespace backplane::ata
