// The command set: ATA/ATAPI-5, section 8, and the 48-bit commands of ATA/ATAPI-6.
#include "ata/features.hpp"
#include "model.hpp"

namespace backplane::ata {
namespace {

enum Command : u8 {
    kRecalibrate = 0x10,
    kReadSectors = 0x20,
    kReadSectorsNoRetry = 0x21,
    kReadSectorsExt = 0x24,
    kReadDmaExt = 0x25,
    kReadNativeMaxExt = 0x27,
    kReadMultipleExt = 0x29,
    kWriteSectors = 0x30,
    kWriteSectorsNoRetry = 0x31,
    kWriteSectorsExt = 0x34,
    kWriteDmaExt = 0x35,
    kCfaWriteSectors = 0x38,  // without erase
    kWriteMultipleExt = 0x39,
    kWriteVerify = 0x3c,
    kVerify = 0x40,
    kVerifyNoRetry = 0x41,
    kVerifyExt = 0x42,
    kSeek = 0x70,
    kDiagnostic = 0x90,
    kInitializeParameters = 0x91,
    kStandbyNowOld = 0x94,
    kIdleNowOld = 0x95,
    kStandbyOld = 0x96,
    kIdleOld = 0x97,
    kCheckPowerOld = 0x98,
    kSleepOld = 0x99,
    kSmart = 0xb0,
    kReadMultiple = 0xc4,
    kWriteMultiple = 0xc5,
    kSetMultiple = 0xc6,
    kReadDma = 0xc8,
    kReadDmaNoRetry = 0xc9,
    kWriteDma = 0xca,
    kWriteDmaNoRetry = 0xcb,
    kCfaWriteMultiple = 0xcd,
    kStandbyNow = 0xe0,
    kIdleNow = 0xe1,
    kStandby = 0xe2,
    kIdle = 0xe3,
    kCheckPower = 0xe5,
    kSleep = 0xe6,
    kFlush = 0xe7,
    kFlushExt = 0xea,
    kIdentify = 0xec,
    kSetFeatures = 0xef,
    kReadNativeMax = 0xf8,
};
constexpr u8 kDeviceReset = 0x08;  // packet devices; the one command that a busy drive listens to

constexpr u8 kPowerActive = 0xff;

constexpr u8 kOk = kStatusReady | kStatusSeek;

}  // namespace

void Disk::command(u8 code) {
    if ((status_ & (kStatusBusy | kStatusRequest)) && code != kDeviceReset) return;
    if (control_ & kControlReset) return;
    trace_command_("%02x features %02x count %02x address %02x %02x %02x device %02x", code, now_.features, now_.count,
                   now_.low, now_.mid, now_.high, device_);
    cancel();  // nothing is under way, unless this is DEVICE RESET
    error_ = 0;
    if (!resolved_) return abort_command();  // no medium was ever there
    switch (code) {
        case kIdentify: return identify();
        case kReadSectors:
        case kReadSectorsNoRetry:
        case kReadSectorsExt:
        case kReadMultiple:
        case kReadMultipleExt:
        case kReadDma:
        case kReadDmaNoRetry:
        case kReadDmaExt:
        case kWriteSectors:
        case kWriteSectorsNoRetry:
        case kWriteSectorsExt:
        case kCfaWriteSectors:
        case kWriteVerify:
        case kWriteMultiple:
        case kWriteMultipleExt:
        case kCfaWriteMultiple:
        case kWriteDma:
        case kWriteDmaNoRetry:
        case kWriteDmaExt:
        case kVerify:
        case kVerifyNoRetry:
        case kVerifyExt: return read_write(code);
        case kSetMultiple: return set_multiple();
        case kReadNativeMax: return read_native_maximum(false);
        case kReadNativeMaxExt: return read_native_maximum(true);
        case kRecalibrate:
        case kInitializeParameters:  // accepted; CHS addresses stay those of IDENTIFY, as on the board's model
        case kSeek: return complete(kOk, true);
        case kSetFeatures: return set_features();
        case kFlush:
        case kFlushExt: return flush();
        case kCheckPower:
        case kCheckPowerOld: now_.count = kPowerActive; return complete(kOk, true);
        case kStandbyNow:
        case kStandby:
        case kIdleNow:
        case kIdle:
        case kSleep:
        case kStandbyNowOld:
        case kStandbyOld:
        case kIdleNowOld:
        case kIdleOld:
        case kSleepOld: return complete(kStatusReady, true);
        case kDiagnostic:
            set_signature();
            error_ = kErrorPassed;
            return complete(kOk, true);
        case kSmart: return smart();
        default: return abort_command();
    }
}

void Disk::abort_command() {
    error_ = kErrorAbort;
    complete(kStatusReady | kStatusError, true);
}

// The end of every command.
void Disk::complete(u8 status, bool interrupt) {
    const bool was_dma = dma();
    cancel();
    status_ = status;
    if (was_dma && bus_) bus_->dma_end(bus_.instance());
    if (interrupt) intrq(true);
}

void Disk::read_write(u8 code) {
    switch (code) {
        case kReadSectors:
        case kReadSectorsNoRetry: return start_transfer(Work::kReadPio, false, 1);
        case kReadSectorsExt: return start_transfer(Work::kReadPio, true, 1);
        case kReadMultiple: return start_transfer(Work::kReadPio, false, multiple_);
        case kReadMultipleExt: return start_transfer(Work::kReadPio, true, multiple_);
        case kReadDma:
        case kReadDmaNoRetry: return start_transfer(Work::kReadDma, false, 1);
        case kReadDmaExt: return start_transfer(Work::kReadDma, true, 1);
        case kWriteSectors:
        case kWriteSectorsNoRetry:
        case kCfaWriteSectors:
        case kWriteVerify: return start_transfer(Work::kWritePio, false, 1);
        case kWriteSectorsExt: return start_transfer(Work::kWritePio, true, 1);
        case kWriteMultiple:
        case kCfaWriteMultiple: return start_transfer(Work::kWritePio, false, multiple_);
        case kWriteMultipleExt: return start_transfer(Work::kWritePio, true, multiple_);
        case kWriteDma:
        case kWriteDmaNoRetry: return start_transfer(Work::kWriteDma, false, 1);
        case kWriteDmaExt: return start_transfer(Work::kWriteDma, true, 1);
        case kVerify:
        case kVerifyNoRetry: return start_transfer(Work::kNone, false, 1);
        case kVerifyExt: return start_transfer(Work::kNone, true, 1);
        default: return abort_command();
    }
}

// Checks the address and sets the command going. Work::kNone: VERIFY, which only checks.
void Disk::start_transfer(Work work, bool extended, u8 block) {
    const bool writes = work == Work::kWritePio || work == Work::kWriteDma;
    const bool by_dma = work == Work::kReadDma || work == Work::kWriteDma;
    if (block == 0 || (writes && read_only_)) return abort_command();
    if (by_dma && !place().dma) {
        log_guest("DMA command on a host adapter without DMA");
        return abort_command();
    }
    extended_ = extended;
    u64 lba = 0;
    const u32 count = decode_count();
    // The standard has IDNF for it; the board's drives abort, in 0.12 as in 7.2.
    if (!decode_address(&lba) || lba >= total_ || count > total_ - lba) return abort_command();
    if (work == Work::kNone) return complete(kOk, true);
    work_ = work;
    lba_ = lba;
    left_ = count;
    block_ = block;
    begin_chunk();
}

bool Disk::decode_address(u64* lba) const {
    if (extended_) {
        *lba = u64{previous_.high} << 40 | u64{previous_.mid} << 32 | u64{previous_.low} << 24 | u64{now_.high} << 16 |
               u64{now_.mid} << 8 | now_.low;
    } else if (device_ & kDeviceLba) {
        *lba = static_cast<u64>(device_ & kDeviceHead) << 24 | u64{now_.high} << 16 | u64{now_.mid} << 8 | now_.low;
    } else {
        if (now_.low == 0) return false;  // sectors of a track count from one
        const geometry::Chs& g = geometry_.physical;
        const u64 cylinder = u64{now_.high} << 8 | now_.mid;
        *lba = (cylinder * g.heads + static_cast<u64>(device_ & kDeviceHead)) * g.sectors + now_.low - 1;
    }
    return true;
}

void Disk::store_address(u64 lba) {
    const auto byte = [lba](unsigned n) { return static_cast<u8>(lba >> (8 * n)); };
    if (extended_) {
        previous_.low = byte(3), previous_.mid = byte(4), previous_.high = byte(5);
    }
    if (extended_ || (device_ & kDeviceLba)) {
        now_.low = byte(0), now_.mid = byte(1), now_.high = byte(2);
        if (!extended_) device_ = static_cast<u8>((device_ & ~kDeviceHead) | (byte(3) & kDeviceHead));
        return;
    }
    const geometry::Chs& g = geometry_.physical;
    const u64 track = lba / g.sectors;
    const u64 cylinder = track / g.heads;
    now_.low = static_cast<u8>(lba % g.sectors + 1);
    now_.mid = static_cast<u8>(cylinder);
    now_.high = static_cast<u8>(cylinder >> 8);
    device_ = static_cast<u8>((device_ & ~kDeviceHead) | (track % g.heads & kDeviceHead));
}

u32 Disk::decode_count() const {
    if (!extended_) return now_.count ? now_.count : 256;
    const u32 count = static_cast<u32>(previous_.count) << 8 | now_.count;
    return count ? count : 65536;
}

void Disk::store_count(u32 count) {
    now_.count = static_cast<u8>(count);
    if (extended_) previous_.count = static_cast<u8>(count >> 8);
}

void Disk::set_multiple() {
    const u8 n = now_.count;
    if (n > kMaxMultiple || (n & (n - 1))) return abort_command();
    multiple_ = n;
    complete(kOk, true);
}

void Disk::read_native_maximum(bool extended) {
    constexpr u64 kMaximum28 = 0x0fffffff;
    extended_ = extended;
    const u64 last = total_ - 1;
    store_address(!extended && (device_ & kDeviceLba) && last > kMaximum28 ? kMaximum28 : last);
    complete(kOk, true);
}

void Disk::set_features() {
    switch (now_.features) {
        case kEnableWriteCache: write_cache_ = true; return complete(kOk, true);
        case kDisableWriteCache:
            // What the cache holds is on the medium when the command completes.
            write_cache_ = false;
            return flush();
        case kTransferMode:
            if (!modes_.select(now_.count)) return abort_command();
            return complete(kOk, true);
        default:
            if (!without_effect(now_.features)) return abort_command();
            return complete(kOk, true);
    }
}

}  // namespace backplane::ata
