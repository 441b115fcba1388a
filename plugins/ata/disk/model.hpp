// ATA hard disk: the drive that qemu-kvm 0.12 shows as "QEMU HARDDISK", ATA/ATAPI-5 and parts of ATA/ATAPI-6
// (T13/1321D, T13/1410D). Owns its task file, buffer and medium; the channel it hangs on decodes addresses and moves
// DMA data.
//
// Every access to the medium is asynchronous: the drive is busy until the image answers. A reset does not wait for the
// image: the request keeps its buffer and runs out, and the next command's access waits for it (see transfer.cpp).
#pragma once

#include <array>
#include <string>

#include "ata/identify.hpp"
#include "ata/medium_access.hpp"
#include "ata/registers.hpp"
#include "backplane/abi/ata.h"
#include "backplane/abi/backend.h"
#include "backplane/abi/drive.h"
#include "backplane/device.hpp"
#include "geometry/geometry.hpp"

namespace backplane::ata {

class Disk final : public Device<Disk>, private MediumAccess::Owner {
  public:
    static constexpr std::string_view kType = "ata.disk";
    static constexpr u32 kSectorBytes = 512;
    static constexpr u32 kBufferSectors = 256;  // a whole 28-bit command in one access to the medium
    static constexpr u32 kBufferBytes = kBufferSectors * kSectorBytes;
    static constexpr u8 kMaxMultiple = 16;

    explicit Disk(const Slot& slot) : Device(slot), access_(this->slot(), *this, kBufferBytes) {}

    static void describe(Schema<Disk>& s);
    bp_status start();
    void stop();
    bp_status publish();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    // What the current command does with sectors.
    enum class Work : u8 { kNone, kReply, kReadPio, kWritePio, kReadDma, kWriteDma, kFlush };
    // What the drive waits for.
    enum class Phase : u8 { kIdle, kHostReads, kHostWrites, kDmaIn, kDmaOut, kMedium };
    enum class TranslationChoice : u8 { kAuto, kNone, kLba, kLarge, kRechs };
    enum class PolicyChoice : u8 { kDrive, kQemu012, kAuto };

    // --- The channel's view (model.cpp) ---
    static const bp_ata_device kTable;
    void info(bp_ata_info* out);
    u8 read(u32 reg);
    void write(u32 reg, u8 value);
    void control(u8 value);
    u32 data_read(u32 bytes);
    void data_write(u32 bytes, u32 value);
    void* dma_window(u32* bytes, int* to_memory);
    void dma_advance(u32 bytes);
    void dma_cancel();

    bp_status join();
    bp_status resolve();
    geometry::Settings settings(const bp_drive_info& drive) const;
    geometry::Reader reader();
    void warn_of_expectation();
    void set_signature();
    void reset_task_file();
    bp_ata_place place() const;
    void intrq(bool level);
    std::string_view inconsistent() const;

    // --- Commands (commands.cpp) ---
    void command(u8 code);
    void read_write(u8 code);
    void start_transfer(Work work, bool extended, u8 block);
    void set_multiple();
    void set_features();
    void read_native_maximum(bool extended);
    void abort_command();
    void complete(u8 status, bool interrupt);
    bool decode_address(u64* lba) const;
    void store_address(u64 lba);
    void store_count(u32 count);
    u32 decode_count() const;

    // --- Replies of 512 bytes (identify.cpp, smart.cpp) ---
    void reply();
    void identify();
    void smart();
    void smart_data();
    void smart_thresholds();
    bool smart_log(u8 log);
    void checksum();

    // --- Data and medium (transfer.cpp) ---
    u8* buffer() { return access_.buffer(); }
    void begin_chunk();
    void next_window();
    void window_done();
    void chunk_done();
    void fail_at(u64 lba);
    void finish_transfer();
    void flush();
    void issue(u32 operation, u32 first, u32 sectors);
    void accessed(i32 error) override;
    void completion(i64) { access_.expired(); }
    void cancel();
    bool reads() const { return work_ == Work::kReadPio || work_ == Work::kReadDma; }
    bool dma() const { return work_ == Work::kReadDma || work_ == Work::kWriteDma; }

    // Configuration.
    std::string serial_, version_, model_;
    u32 cylinders_ = 0, heads_ = 0, sectors_ = 0;
    u32 logical_cylinders_ = 0, logical_heads_ = 0, logical_sectors_ = 0;
    TranslationChoice translation_ = TranslationChoice::kAuto;
    PolicyChoice policy_ = PolicyChoice::kDrive;
    bool write_cache_default_ = true;
    bool read_only_ = false;
    Duration latency_;
    Link<bp_drive> drive_;
    Link<bp_block> image_;
    Link<bp_ata_bus> bus_;
    MediumAccess access_;
    TracePoint trace_command_;

    // Facts about the medium, fixed at power-on.
    bool resolved_ = false;
    geometry::Geometry geometry_;
    u64 total_ = 0;  // sectors
    std::string serial_shown_;
    i32 boot_index_ = -1;

    // Task file. `previous_` are the bytes written before the current ones ("HOB").
    struct TaskFile {
        u8 features = 0, count = 0, low = 0, mid = 0, high = 0;
    };
    TaskFile now_, previous_;
    u8 error_ = 0, device_ = 0, status_ = 0, control_ = 0;

    // Settings that commands change.
    u8 multiple_ = kMaxMultiple;  // sectors a DRQ block of READ/WRITE MULTIPLE; 0: off
    TransferModes modes_;
    bool write_cache_ = true;
    bool smart_enabled_ = true, smart_autosave_ = true;
    u8 self_tests_ = 0;                   // entries in use
    std::array<u8, 21> self_test_log_{};  // kind of each

    // The command in progress.
    Work work_ = Work::kNone;
    Phase phase_ = Phase::kIdle;
    bool extended_ = false;
    u64 lba_ = 0;        // next sector for the host
    u32 left_ = 0;       // sectors not yet transferred
    u8 block_ = 1;       // sectors a DRQ block
    u32 position_ = 0;   // in the buffer: next byte for the host,
    u32 end_ = 0;        // end of the DRQ block or DMA window,
    u32 filled_ = 0;     // end of valid data
    u64 chunk_lba_ = 0;  // what the buffer holds
    u32 chunk_sectors_ = 0;
    u32 good_ = 0;          // sectors of the chunk that the medium has done
    bool probing_ = false;  // sector by sector, to find the bad one
    bool bad_ = false;      // the sector after `good_` failed

    u32 reported_ = 0;  // host errors logged
};

}  // namespace backplane::ata
