// SMART: ATA/ATAPI-5, 8.41, and the layouts that drives of that time used. A healthy drive.
#include <algorithm>

#include "model.hpp"

namespace backplane::ata {
namespace {

// Key in the LBA registers without which the command is refused.
constexpr u8 kKeyMid = 0x4f;
constexpr u8 kKeyHigh = 0xc2;

enum Subcommand : u8 {
    kReadData = 0xd0,
    kReadThresholds = 0xd1,
    kAutosave = 0xd2,
    kOfflineImmediate = 0xd4,
    kReadLog = 0xd5,
    kEnable = 0xd8,
    kDisable = 0xd9,
    kReturnStatus = 0xda,
};

constexpr u8 kAutosaveOff = 0x00;
constexpr u8 kAutosaveOn = 0xf1;

constexpr u8 kErrorLog = 0x01;
constexpr u8 kSelfTestLog = 0x06;

// Tests of OFFLINE IMMEDIATE, in LBA low.
constexpr u8 kCollect = 0;
constexpr u8 kShortTest = 1;
constexpr u8 kExtendedTest = 2;

struct Attribute {
    u8 id, threshold;
    u16 flags;  // bit 0: failure is imminent below the threshold; bit 1: collected online
};
constexpr Attribute kAttributes[] = {
    {0x01, 0x06, 0x0003},  // raw read error rate
    {0x03, 0x46, 0x0003},  // spin-up time
    {0x04, 0x14, 0x0002},  // start/stop count
    {0x05, 0x36, 0x0003},  // reallocated sectors
};
constexpr u8 kHealthy = 0x64;

constexpr u32 kAttributeBytes = 12;
constexpr u32 kLogEntryBytes = 24;

}  // namespace

void Disk::smart() {
    if (now_.mid != kKeyMid || now_.high != kKeyHigh) return abort_command();
    const u8 what = now_.features;
    if (!smart_enabled_ && what != kEnable) return abort_command();
    constexpr u8 ok = kStatusReady | kStatusSeek;
    switch (what) {
        case kEnable: smart_enabled_ = true; return complete(ok, true);
        case kDisable: smart_enabled_ = false; return complete(ok, true);
        case kAutosave:
            if (now_.count != kAutosaveOff && now_.count != kAutosaveOn) return abort_command();
            smart_autosave_ = now_.count == kAutosaveOn;
            return complete(ok, true);
        case kReturnStatus: return complete(ok, true);  // the key, unchanged, means healthy
        case kReadData: return smart_data();
        case kReadThresholds: return smart_thresholds();
        case kReadLog:
            if (!smart_log(now_.low)) return abort_command();
            return reply();
        case kOfflineImmediate:
            if (now_.low > kExtendedTest) return abort_command();
            if (now_.low != kCollect) {
                // The oldest entry makes room.
                if (self_tests_ == self_test_log_.size()) {
                    std::copy(self_test_log_.begin() + 1, self_test_log_.end(), self_test_log_.begin());
                    --self_tests_;
                }
                self_test_log_[self_tests_++] = now_.low;
            }
            return complete(ok, true);
        default: return abort_command();
    }
}

// The bytes of the structure add up to zero.
void Disk::checksum() {
    u8 sum = 0;
    for (u32 i = 0; i < kSectorBytes - 1; ++i) sum = static_cast<u8>(sum + buffer()[i]);
    buffer()[kSectorBytes - 1] = static_cast<u8>(-sum);
}

void Disk::smart_data() {
    u8* b = buffer();
    std::fill_n(b, kSectorBytes, u8{0});
    b[0] = 1;  // revision
    u32 at = 2;
    for (const Attribute& a : kAttributes) {
        b[at] = a.id;
        b[at + 1] = static_cast<u8>(a.flags);
        b[at + 2] = static_cast<u8>(a.flags >> 8);
        b[at + 3] = b[at + 4] = kHealthy;  // now, worst
        at += kAttributeBytes;
    }
    b[362] = static_cast<u8>(0x02 | (smart_autosave_ ? 0x80 : 0));  // offline collection: completed
    b[363] = 0;                                                     // last self-test: passed
    b[364] = 0x20;                                                  // 288 s for an offline collection
    b[365] = 0x01;
    b[367] = 0x19;  // offline: immediate, surface scan, self-tests
    b[368] = 0x03;  // saves before power-down, autosave
    b[370] = 0x01;  // error log
    b[372] = 2;     // minutes of the short test,
    b[373] = 54;    // the extended one,
    b[374] = 1;     // and the conveyance test
    checksum();
    reply();
}

void Disk::smart_thresholds() {
    u8* b = buffer();
    std::fill_n(b, kSectorBytes, u8{0});
    b[0] = 1;
    u32 at = 2;
    for (const Attribute& a : kAttributes) {
        b[at] = a.id;
        b[at + 1] = a.threshold;
        at += kAttributeBytes;
    }
    checksum();
    reply();
}

bool Disk::smart_log(u8 log) {
    u8* b = buffer();
    std::fill_n(b, kSectorBytes, u8{0});
    b[0] = 1;
    if (log == kErrorLog) {
        checksum();  // no error has ever been logged
        return true;
    }
    if (log != kSelfTestLog) return false;
    for (u32 i = 0; i < self_tests_; ++i) {
        u8* entry = b + 2 + i * kLogEntryBytes;
        entry[0] = self_test_log_[i];
        entry[1] = 0;  // completed without error
    }
    b[508] = self_tests_;  // index of the latest
    checksum();
    return true;
}

}  // namespace backplane::ata
