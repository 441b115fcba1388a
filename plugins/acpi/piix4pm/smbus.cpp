#include "smbus.hpp"

namespace backplane {
namespace {

// Registers, relative to the I/O base (11.5).
constexpr u64 kStatus = 0x00;   // SMBHSTSTS
constexpr u64 kControl = 0x02;  // SMBHSTCNT
constexpr u64 kCommand = 0x03;  // SMBHSTCMD
constexpr u64 kAddress = 0x04;  // SMBHSTADD
constexpr u64 kData0 = 0x05;    // SMBHSTDAT0
constexpr u64 kData1 = 0x06;    // SMBHSTDAT1
constexpr u64 kBlock = 0x07;    // SMBBLKDAT

constexpr u8 kDone = 1u << 1;   // INTER
constexpr u8 kError = 1u << 2;  // DEV_ERR: nobody answered, or no such protocol
constexpr u8 kStart = 1u << 6;

// SMB_CMD_PROT, control bits 4:2.
enum Protocol : u32 { kQuick = 0, kByte = 1, kByteData = 2, kWordData = 3, kBlockData = 5 };

constexpr u8 kFirstEeprom = 0x50;

}  // namespace

void SmbusHost::power_on() { *this = SmbusHost{}; }

void SmbusHost::reset() {
    status_ = control_ = command_ = address_ = data0_ = data1_ = index_ = 0;
    block_.fill(0);
}

void SmbusHost::state(StateVisitor& v) {
    v("status", status_);
    v("control", control_);
    v("command", command_);
    v("address", address_);
    v("data0", data0_);
    v("data1", data1_);
    v("block", block_);
    v("index", index_, {.max = block_.size() - 1});
    v.each("eeprom", eeproms_, [](StateVisitor& w, Eeprom& e) {
        w("data", e.data);
        w("pointer", e.pointer);
    });
}

u8 SmbusHost::read(u64 offset) {
    switch (offset) {
        case kStatus: return status_;
        case kControl: index_ = 0; return control_ & ~kStart;
        case kCommand: return command_;
        case kAddress: return address_;
        case kData0: return data0_;
        case kData1: return data1_;
        case kBlock: {
            const u8 value = block_[index_ % block_.size()];
            index_ = static_cast<u8>((index_ + 1) % block_.size());
            return value;
        }
        default: return 0;
    }
}

void SmbusHost::write(u64 offset, u8 value) {
    switch (offset) {
        case kStatus:
            status_ = 0;
            index_ = 0;
            break;
        case kControl:
            control_ = value;
            if (value & kStart) start();
            break;
        case kCommand: command_ = value; break;
        case kAddress: address_ = value; break;
        case kData0: data0_ = value; break;
        case kData1: data1_ = value; break;
        case kBlock:
            block_[index_ % block_.size()] = value;
            index_ = static_cast<u8>((index_ + 1) % block_.size());
            break;
        default: break;
    }
}

// A transfer takes no time: the host is never seen busy.
void SmbusHost::start() {
    const u32 protocol = control_ >> 2 & 7;
    const u32 target = address_ >> 1;
    const bool present = target >= kFirstEeprom && target < kFirstEeprom + kEeproms;
    const bool good = present && transfer(eeproms_[target - kFirstEeprom], protocol, address_ & 1);
    status_ |= good ? kDone : kError;
    if (!good && (address_ & 1)) data0_ = data1_ = 0xff;
}

// For an EEPROM the command byte of every protocol is the pointer, and a block's count is a byte like any other.
bool SmbusHost::transfer(Eeprom& eeprom, u32 protocol, bool reads) {
    switch (protocol) {
        case kQuick: return true;
        case kByte:
            if (reads)
                data0_ = eeprom.next();
            else
                eeprom.pointer = command_;
            return true;
        case kByteData:
            eeprom.pointer = command_;
            if (reads)
                data0_ = eeprom.next();
            else
                eeprom.store(data0_);
            return true;
        case kWordData:
            eeprom.pointer = command_;
            if (reads) {
                data0_ = eeprom.next();
                data1_ = eeprom.next();
            } else {
                eeprom.store(data0_);
                eeprom.store(data1_);
            }
            return true;
        case kBlockData: {
            eeprom.pointer = command_;
            if (reads)
                data0_ = eeprom.next();
            else
                eeprom.store(data0_);
            const u32 count = data0_ > block_.size() ? static_cast<u32>(block_.size()) : data0_;
            for (u32 i = 0; i < count; ++i) {
                if (reads)
                    block_[i] = eeprom.next();
                else
                    eeprom.store(block_[i]);
            }
            index_ = 0;
            return true;
        }
        default: return false;
    }
}

}  // namespace backplane
