// The ATA command set of a packet device: ATA/ATAPI-5, section 8. What it can really do comes in packets.
#include "ata/features.hpp"
#include "packet.hpp"

namespace backplane::ata {
namespace {

enum Command : u8 {
    kDeviceReset = 0x08,  // the one command that a busy drive listens to
    kRecalibrate = 0x10,
    kReadSectors = 0x20,
    kReadSectorsNoRetry = 0x21,
    kDiagnostic = 0x90,
    kInitializeParameters = 0x91,
    kStandbyNowOld = 0x94,
    kIdleNowOld = 0x95,
    kStandbyOld = 0x96,
    kIdleOld = 0x97,
    kCheckPowerOld = 0x98,
    kSleepOld = 0x99,
    kPacket = 0xa0,
    kIdentifyPacket = 0xa1,
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
};

constexpr u8 kPowerActive = 0xff;
constexpr u8 kOk = kStatusReady | kStatusSeek;

// Features register of PACKET.
constexpr u8 kDma = 0x01;
constexpr u8 kOverlap = 0x02;

}  // namespace

void Cd::command(u8 code) {
    if ((status_ & (kStatusBusy | kStatusRequest)) && code != kDeviceReset) return;
    if (control_ & kControlReset) return;
    trace_command_("%02x features %02x count %02x limit %02x%02x device %02x", code, features_, count_, high_, mid_,
                   device_);
    cancel();  // nothing is under way, unless this is DEVICE RESET
    error_ = 0;
    switch (code) {
        case kDeviceReset:
            set_signature();
            error_ = kErrorPassed;
            status_ = 0;
            return intrq(false);
        case kPacket: return packet_command();
        case kIdentifyPacket: return identify();
        case kIdentify:
        case kReadSectors:
        case kReadSectorsNoRetry: return abort_with_signature();  // how hosts find out what it is
        case kDiagnostic:
            set_signature();
            error_ = kErrorPassed;
            return complete(0, true);
        case kSetFeatures: return set_features();
        case kCheckPower:
        case kCheckPowerOld: count_ = kPowerActive; return complete(kOk, true);
        case kRecalibrate:
        case kInitializeParameters:
        case kFlush:
        case kFlushExt: return complete(kOk, true);
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
        default: return abort_command();
    }
}

void Cd::abort_command() {
    error_ = kErrorAbort;
    complete(kStatusReady | kStatusError, true);
}

void Cd::abort_with_signature() {
    set_signature();
    abort_command();
}

// The end of every command.
void Cd::complete(u8 status, bool interrupt) {
    const bool was_dma = by_dma_ && (work_ == Work::kReply || work_ == Work::kRead);
    cancel();
    status_ = status;
    if (was_dma && bus_) bus_->dma_end(bus_.instance());
    if (interrupt) intrq(true);
}

void Cd::set_features() {
    switch (features_) {
        case kEnableWriteCache:
        case kDisableWriteCache: return complete(kOk, true);  // there is nothing to write
        case kTransferMode:
            if (!modes_.select(count_)) return abort_command();
            return complete(kOk, true);
        default:
            if (!without_effect(features_)) return abort_command();
            return complete(kOk, true);
    }
}

// IDENTIFY PACKET DEVICE, 8.13.
void Cd::identify() {
    IdentifyBlock block(buffer());
    block.word(0, 0x85c0);  // packet device, CD-ROM, removable, DRQ within 50 us, packets of 12 bytes
    block.text(10, 10, serial_shown_.empty() ? default_serial(place()) : serial_shown_);
    block.word(20, 3);    // buffer with look-ahead
    block.word(21, 512);  // its sectors
    block.word(22, 4);    // ECC bytes
    block.text(23, 4, version_);
    block.text(27, 20, model_);
    block.word(48, 0x0001);  // dword I/O
    block.word(49, 0x0300);  // LBA, DMA
    block.word(53, 0x0007);  // words 54-58, 64-70, 88 are valid
    modes_.identify(block);
    block.word(64, 0x003f);  // PIO modes
    block.word(65, 0x00b4);  // cycle times in ns
    block.word(66, 0x00b4);
    block.word(67, 0x012c);
    block.word(68, 0x00b4);
    block.word(71, 30);  // ns to the bus release, to the end of BSY after SERVICE
    block.word(72, 30);
    block.word(80, 0x001e);  // ATA-1 to ATA/ATAPI-4
    work_ = Work::kAtaReply;
    position_ = 0;
    end_ = filled_ = IdentifyBlock::kBytes;
    phase_ = Phase::kHostReads;
    status_ = kOk | kStatusRequest;
    intrq(true);
}

// PACKET, 8.23: the host writes the packet next. There is no interrupt for that (word 0, bits 6:5).
void Cd::packet_command() {
    if (features_ & kOverlap) {
        count_ = static_cast<u8>((count_ & ~kReasonMask) | kReasonEnd);
        return abort_command();
    }
    by_dma_ = features_ & kDma;
    if (by_dma_ && !place().dma) {
        log_guest("PACKET with DMA on a host adapter without DMA");
        return abort_command();
    }
    work_ = Work::kPacket;
    position_ = 0;
    end_ = filled_ = kPacketBytes;
    phase_ = Phase::kHostWrites;
    count_ = kReasonCommand;
    status_ = kOk | kStatusRequest;
}

}  // namespace backplane::ata
