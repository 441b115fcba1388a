// Commands in packets that are about the disc: MMC-3. A disc is one session with one data track.
#include <algorithm>

#include "packet.hpp"

namespace backplane::ata {
namespace {

constexpr u8 kLeadOut = 0xaa;
// ADR 1 (position) and control: a data track; the lead-out's.
constexpr u8 kDataTrack = 0x14;
constexpr u8 kAfterData = 0x16;

// An address in a table of contents: sector, or minute, second, frame.
void put_address(u8* at, u32 sector, bool as_time) {
    if (!as_time) return put_dword(at, sector);
    at[0] = 0;
    put_time(at + 1, sector);
}

// READ TOC format 0: the track, unless it is skipped, and the lead-out. Returns how many bytes.
u32 put_tracks(u8* b, u32 sectors, bool as_time, bool with_track) {
    u8* at = b + 2;
    *at++ = 1;  // first track,
    *at++ = 1;  // last
    const auto entry = [&](u8 control, u8 track, u32 sector) {
        at[0] = 0;
        at[1] = control;
        at[2] = track;
        at[3] = 0;
        put_address(at + 4, sector, as_time);
        at += 8;
    };
    if (with_track) entry(kDataTrack, 1, 0);
    entry(kAfterData, kLeadOut, sectors);
    return static_cast<u32>(at - b);
}

// READ TOC format 2: the lead-in's entries as they are on the disc.
u32 put_raw_toc(u8* b, u32 sectors, bool as_time) {
    u8* at = b + 2;
    *at++ = 1;  // first session,
    *at++ = 1;  // last
    const auto entry = [&](u8 point) {
        std::fill_n(at, 11, u8{0});
        at[0] = 1;  // session
        at[1] = kDataTrack;
        at[3] = point;
        u8* value = at + 7;
        at += 11;
        return value;
    };
    entry(0xa0)[1] = 1;  // first track
    entry(0xa1)[1] = 1;  // last track
    put_address(entry(0xa2), sectors, as_time);
    put_address(entry(0x01), 0, as_time);
    return static_cast<u32>(at - b);
}

}  // namespace

void Cd::capacity() {
    u8* b = buffer();
    put_dword(b, disc_sectors() - 1);
    put_dword(b + 4, kSectorBytes);
    reply(8, 8);
}

void Cd::toc(const Packet& p) {
    const bool as_time = p[1] & 2;
    const u8 track = p[6];
    const u32 sectors = disc_sectors();
    u8* b = buffer();
    u32 bytes = 0;
    switch (p[9] >> 6) {  // the format's place before MMC; the newer one in byte 2 nobody relies on alone
        case 0:
            if (track > 1 && track != kLeadOut) return fail_packet({kIllegalRequest, kInvalidField});
            bytes = put_tracks(b, sectors, as_time, track <= 1);
            break;
        case 1:  // sessions: the first is the last
            bytes = 12;
            std::fill_n(b, bytes, u8{0});
            b[2] = b[3] = 1;
            break;
        case 2: bytes = put_raw_toc(b, sectors, as_time); break;
        default: return fail_packet({kIllegalRequest, kInvalidField});
    }
    put_word(b, bytes - 2);
    reply(bytes, p.word(7));
}

void Cd::seek(const Packet& p) {
    if (p.dword(2) >= disc_sectors()) return fail_packet({kIllegalRequest, kBlockOutOfRange});
    end_packet();
}

// READ CD: byte 9 says which parts of a sector; user data, everything, or nothing.
void Cd::read_cd(const Packet& p) {
    const u32 first = p.dword(2), count = p.triple(6);
    switch (p[9] & 0xf8) {
        case 0x00: return end_packet();
        case 0x10: return read_sectors(first, count, kSectorBytes);
        case 0xf8: return read_sectors(first, count, kRawBytes);
        default: return fail_packet({kIllegalRequest, kInvalidField});
    }
}

}  // namespace backplane::ata
