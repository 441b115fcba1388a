// Commands in packets that are about the device: SPC-2 and MMC-3.
#include "packet.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace backplane::ata {
namespace {

enum Operation : u8 {
    kTestUnitReady = 0x00,
    kRequestSense = 0x03,
    kInquiry = 0x12,
    kModeSense6 = 0x1a,
    kStartStop = 0x1b,
    kPrevent = 0x1e,
    kReadCapacity = 0x25,
    kRead10 = 0x28,
    kSeek = 0x2b,
    kReadToc = 0x43,
    kGetConfiguration = 0x46,
    kModeSense10 = 0x5a,
    kRead12 = 0xa8,
    kReadDvdStructure = 0xad,
    kSetSpeed = 0xbb,
    kMechanismStatus = 0xbd,
    kReadCd = 0xbe,
};

// Whether a command answers while a change of the medium has not been reported.
constexpr bool indifferent(u8 operation) { return operation == kRequestSense || operation == kInquiry; }

constexpr bool needs_disc(u8 operation) {
    switch (operation) {
        case kTestUnitReady:
        case kReadCapacity:
        case kRead10:
        case kSeek:
        case kReadToc:
        case kRead12:
        case kReadDvdStructure:
        case kReadCd: return true;
        default: return false;
    }
}

// A disc of more than 80 minutes is a DVD.
constexpr u32 kMostCdSectors = 1440000 / 4;
constexpr u32 kProfileCd = 0x0008;
constexpr u32 kProfileDvd = 0x0010;

constexpr u8 kCurrentValues = 0;
constexpr u8 kSavedValues = 3;

void put_padded(u8* at, std::size_t size, std::string_view text) {
    std::fill_n(at, size, static_cast<u8>(' '));
    std::memcpy(at, text.data(), std::min(size, text.size()));
}

}  // namespace

void Cd::packet() {
    const Packet p{packet_.data()};
    const u8 operation = p[0];
    if (trace_command_.on())
        trace_command_("packet %02x %02x %02x%02x%02x%02x %02x %02x%02x %02x%s", p[0], p[1], p[2], p[3], p[4], p[5],
                       p[6], p[7], p[8], p[9], by_dma_ ? ", DMA" : "");
    // No longer a packet to be written; the data phase follows, if there is one.
    position_ = end_ = filled_ = 0;
    phase_ = Phase::kIdle;
    work_ = Work::kNone;
    if (!indifferent(operation)) {
        if (sense_.key == kUnitAttention) return fail_packet(sense_);
        if (change_ != Change::kNone && disc_sectors()) {
            if (std::exchange(change_, change_ == Change::kNotReady ? Change::kAttention : Change::kNone) ==
                Change::kNotReady)
                return fail_packet({kNotReady, kMediumNotPresent});
            return fail_packet({kUnitAttention, kMediumMayHaveChanged});
        }
    }
    if (needs_disc(operation) && !disc_sectors()) return fail_packet({kNotReady, kMediumNotPresent});
    switch (operation) {
        case kTestUnitReady:
        case kSetSpeed: return end_packet();
        case kRequestSense: return request_sense(p);
        case kInquiry: return inquiry(p);
        case kModeSense6: return mode_sense(p, p[4], 4);
        case kModeSense10: return mode_sense(p, p.word(7), 8);
        case kStartStop: return start_stop(p);
        case kPrevent:
            locked_ = p[4] & 1;
            drive_->lock(drive_.instance(), locked_);
            return end_packet();
        case kReadCapacity: return capacity();
        case kRead10: return read_sectors(p.dword(2), p.word(7), kSectorBytes);
        case kRead12: return read_sectors(p.dword(2), p.dword(6), kSectorBytes);
        case kReadCd: return read_cd(p);
        case kSeek: return seek(p);
        case kReadToc: return toc(p);
        case kGetConfiguration: return configuration(p);
        case kReadDvdStructure: return dvd_structure(p);
        case kMechanismStatus: return mechanism(p);
        default: return fail_packet({kIllegalRequest, kInvalidOperation});
    }
}

void Cd::end_packet() {
    count_ = static_cast<u8>((count_ & ~kReasonMask) | kReasonEnd);
    complete(kStatusReady | kStatusSeek, true);
}

void Cd::fail_packet(Sense sense) {
    sense_ = sense;
    error_ = static_cast<u8>(sense.key << 4);
    count_ = static_cast<u8>((count_ & ~kReasonMask) | kReasonEnd);
    complete(kStatusReady | kStatusError, true);
}

// The sense of the last command that failed stays, as on the board's model; a unit attention is told once.
void Cd::request_sense(const Packet& p) {
    constexpr u32 kBytes = 18;
    u8* b = buffer();
    std::fill_n(b, kBytes, u8{0});
    b[0] = 0xf0;  // current error, fixed format
    b[2] = sense_.key;
    b[7] = kBytes - 8;
    b[12] = sense_.code;
    if (sense_.key == kUnitAttention) sense_ = {};
    reply(kBytes, p[4]);
}

void Cd::inquiry(const Packet& p) {
    constexpr u32 kBytes = 36;
    u8* b = buffer();
    std::fill_n(b, kBytes, u8{0});
    b[0] = 0x05;  // CD-ROM
    b[1] = 0x80;  // removable
    b[3] = 0x21;  // ATAPI 2, response format 1
    b[4] = kBytes - 5;
    put_padded(b + 8, 8, "QEMU");
    put_padded(b + 16, 16, model_);
    put_padded(b + 32, 4, version_);
    reply(kBytes, p[4]);
}

// Pages of MODE SENSE: MMC-3, 5.5, and SFF-8020i for the medium type and the audio page.
void Cd::mode_sense(const Packet& p, u32 allocated, u32 header) {
    const u8 control = p[2] >> 6;
    if (control == kSavedValues) return fail_packet({kIllegalRequest, kSavingNotSupported});
    if (control != kCurrentValues) return fail_packet({kIllegalRequest, kInvalidField});
    u8* b = buffer();
    constexpr u32 kMost = 64;
    std::fill_n(b, kMost, u8{0});
    u8* page = b + header;
    u32 bytes = 0;
    switch (p[2] & 0x3f) {
        case 0x01:  // read error recovery: five attempts
            bytes = 8;
            page[3] = 0x05;
            break;
        case 0x0e: bytes = 16; break;  // audio: there is none, so no channel and no volume
        case 0x2a:                     // capabilities
            bytes = 22;
            page[2] = 0x3b;  // reads CD-R, CD-RW, DVD-ROM, DVD-R, DVD-RAM
            page[4] = 0x71;  // plays audio (guests that look for it mount automatically), modes 2, multi-session
            page[5] = 0x60;
            page[6] = static_cast<u8>(0x29 | (locked_ ? 0x02 : 0));  // tray, ejects, can be locked; is it
            put_word(page + 8, 704);                                 // kB/s at most: four times the speed of audio
            put_word(page + 10, 2);                                  // volume levels
            put_word(page + 12, 512);                                // KiB of buffer
            put_word(page + 14, 704);                                // kB/s now
            break;
        default: return fail_packet({kIllegalRequest, kInvalidField});
    }
    page[0] = p[2] & 0x3f;
    page[1] = static_cast<u8>(bytes - 2);
    constexpr u8 kDoorClosedNoDisc = 0x70;
    if (header == 4) {
        b[0] = static_cast<u8>(header + bytes - 1);
        b[1] = kDoorClosedNoDisc;
    } else {
        put_word(b, header + bytes - 2);
        b[2] = kDoorClosedNoDisc;
    }
    reply(header + bytes, allocated);
}

void Cd::start_stop(const Packet& p) {
    const bool start = p[4] & 1, load_or_eject = p[4] & 2, power_condition = p[4] & 0xf0;
    if (!load_or_eject || power_condition) return end_packet();
    if (!start && locked_) return fail_packet({disc_sectors() ? kNotReady : kIllegalRequest, kRemovalPrevented});
    moving_tray_ = true;
    drive_->tray(drive_.instance(), !start);
    moving_tray_ = false;
    end_packet();
}

// GET CONFIGURATION: the profile list is the only feature.
void Cd::configuration(const Packet& p) {
    if (p.word(2) != 0) return fail_packet({kIllegalRequest, kInvalidField});
    constexpr u32 kBytes = 20;
    u8* b = buffer();
    std::fill_n(b, kBytes, u8{0});
    const u32 sectors = disc_sectors();
    const u32 current = sectors == 0 ? 0 : sectors > kMostCdSectors ? kProfileDvd : kProfileCd;
    put_dword(b, kBytes - 4);
    put_word(b + 6, current);
    b[10] = 0x03;  // the list is persistent and current
    b[11] = 8;
    u8* at = b + 12;
    for (const u32 profile : {kProfileDvd, kProfileCd}) {
        put_word(at, profile);
        at[2] = profile == current;
        at += 4;
    }
    reply(kBytes, p.word(7));
}

void Cd::mechanism(const Packet& p) {
    constexpr u32 kBytes = 8;
    u8* b = buffer();
    std::fill_n(b, kBytes, u8{0});
    b[5] = 1;  // slots
    reply(kBytes, p.word(8));
}

// READ DVD STRUCTURE.
void Cd::dvd_structure(const Packet& p) {
    constexpr u8 kListOfFormats = 0xff;
    constexpr u32 kPhysicalBytes = 2052, kCopyrightBytes = 8, kManufacturerBytes = 2052, kBcaBytes = 192;
    const u32 sectors = disc_sectors();
    const u8 format = p[7];
    if (format != kListOfFormats && sectors <= kMostCdSectors)
        return fail_packet({kIllegalRequest, kIncompatibleFormat});
    if (p[1] & 0x0f) return fail_packet({kIllegalRequest, kInvalidField});  // not a DVD's structures
    u8* b = buffer();
    std::fill_n(b, kPhysicalBytes, u8{0});
    u32 bytes = 0;
    switch (format) {
        case 0x00:                                                                // physical format
            if (p[6] != 0) return fail_packet({kIllegalRequest, kInvalidField});  // layer
            bytes = kPhysicalBytes;
            b[4] = 0x01;                     // DVD-ROM, version 1
            b[5] = 0x0f;                     // 120 mm
            b[6] = 0x01;                     // one layer, read only
            put_dword(b + 12, sectors - 1);  // end of the data area,
            put_dword(b + 16, sectors - 1);  // of layer 0
            break;
        case 0x01: bytes = kCopyrightBytes; break;     // none
        case 0x04: bytes = kManufacturerBytes; break;  // nothing in it
        case kListOfFormats: {
            u8* at = b + 4;
            for (const auto& [code, size] : {std::pair<u8, u32>{0x00, kPhysicalBytes},
                                             {0x01, kCopyrightBytes},
                                             {0x03, kBcaBytes},
                                             {0x04, kManufacturerBytes}}) {
                at[0] = code;
                at[1] = 0x40;  // readable
                put_word(at + 2, size);
                at += 4;
            }
            bytes = static_cast<u32>(at - b);
            break;
        }
        default: return fail_packet({kIllegalRequest, kInvalidField});
    }
    put_word(b, bytes - 2);
    reply(bytes, p.word(8));
}

}  // namespace backplane::ata
