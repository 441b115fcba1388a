// How the channels move data.
#include <algorithm>

#include "model.hpp"

namespace backplane::dma {
namespace {

constexpr u8 kCommandDisable = 0x04;
// Mode register (data sheet, "Mode Register").
constexpr u8 kModeBits = 0xc0;
constexpr u8 kCascade = 0xc0;
constexpr u8 kDecrement = 0x20;
constexpr u8 kAutoInitialise = 0x10;
constexpr unsigned kTypeShift = 2;

constexpr unsigned kCascadeChannel = 4;
constexpr u32 kChunk = 4096;
// After a terminal count with auto-initialisation the guest gets a chance to run before a device that never pauses goes
// on.
constexpr i64 kBreathNs = 10'000;

}  // namespace

bp_status I8237Pair::connect(unsigned number, const bp_isa_dma_device* device, void* instance) {
    if (peers_[number].device) return fail(BP_ERR_CONFLICT, "DMA channel %u is taken by another device", number);
    peers_[number] = {device, instance};
    return BP_OK;
}

void I8237Pair::request(unsigned number, bool level) {
    channel(number).requested = level;
    if (level) serve();
}

bool I8237Pair::open(unsigned number) const {
    const Chip& chip = chips_[number >> 2];
    const u8 bit = static_cast<u8>(1 << (number & 3));
    const Channel& c = chip.channels[number & 3];
    if ((chip.command & kCommandDisable) || (c.mode & kModeBits) == kCascade) return false;
    if (!(c.requested && !(chip.mask & bit)) && !(chip.soft_requests & bit)) return false;
    if (number >= kCascadeChannel) return true;
    // The first controller reaches the bus through the second one's channel 4.
    const Channel& cascade = channel(kCascadeChannel);
    return (cascade.mode & kModeBits) == kCascade && !(chips_[1].mask & 1) && !(chips_[1].command & kCommandDisable);
}

void I8237Pair::serve() {
    if (serving_) return;  // a device that calls back from transfer(); the loop below sees its request
    serving_ = true;
    for (unsigned number = 0; number < 8; ++number)
        if (number != kCascadeChannel && open(number)) serve_channel(number);
    serving_ = false;
}

// Goes on until the request ends, but at most to the terminal count.
void I8237Pair::serve_channel(unsigned number) {
    Channel& c = channel(number);
    const u32 unit = number < kCascadeChannel ? 1 : 2;
    while (open(number)) {
        const u32 units = c.count + 1u;
        // Only the 16 bits of the address register count; the page stays.
        const u32 to_wrap = c.mode & kDecrement ? c.address + 1u : 0x10000u - c.address;
        const u32 chunk = std::min({units, to_wrap, kChunk / unit});
        const u32 moved = std::min(move(number, chunk * unit) / unit, chunk);
        c.address = static_cast<u16>(c.mode & kDecrement ? c.address - moved : c.address + moved);
        c.count = static_cast<u16>(c.count - moved);
        if (moved < chunk) {
            c.requested = false;
            if (!peers_[number].device) chips_[number >> 2].soft_requests &= static_cast<u8>(~(1 << (number & 3)));
        }
        if (moved == units) {
            terminal_count(number);
            if (open(number)) resume_.arm_in(kBreathNs);
            return;
        }
        if (!moved) return;
    }
}

u32 I8237Pair::move(unsigned number, u32 bytes) {
    const Channel& c = channel(number);
    const Peer& peer = peers_[number];
    const u32 unit = number < kCascadeChannel ? 1 : 2;
    const bool down = (c.mode & kDecrement) != 0;
    // The lowest address of the piece. On word channels the address counts words and bit 16 comes from it, not from the
    // page.
    u64 base = unit == 1 ? u64{c.page} << 16 | c.address : (u64{c.page} & 0xfe) << 16 | u64{c.address} << 1;
    if (down) base -= bytes - unit;
    std::array<u8, kChunk> data;
    const auto reverse = [&] {
        if (!down) return;
        std::reverse(data.begin(), data.begin() + bytes);
        if (unit == 2)
            for (u32 i = 0; i + 1 < bytes; i += 2) std::swap(data[i], data[i + 1]);
    };
    u32 type = c.mode >> kTypeShift & 3;
    if (type == 3) type = BP_ISA_DMA_VERIFY;  // illegal
    trace_("channel %u type %u at %06llx, %u bytes", number, type, static_cast<unsigned long long>(base), bytes);
    data.fill(0xff);
    if (type == BP_ISA_DMA_TO_DEVICE) {
        dma_read(base, data.data(), bytes);
        reverse();
    }
    // A software request to a channel without a device counts down with nobody on the bus.
    u32 moved = peer.device ? peer.device->transfer(peer.instance, type, data.data(), bytes) : bytes;
    moved = std::min(moved, bytes) / unit * unit;
    if (type == BP_ISA_DMA_FROM_DEVICE && peer.device && moved) {
        if (down) {
            // Only the first `moved` bytes are good; they belong at the top of the piece.
            base += bytes - moved;
            bytes = moved;
            reverse();
        }
        dma_write(base, data.data(), moved);
    }
    return moved;
}

void I8237Pair::terminal_count(unsigned number) {
    Chip& chip = chips_[number >> 2];
    Channel& c = channel(number);
    const u8 bit = static_cast<u8>(1 << (number & 3));
    trace_("channel %u terminal count", number);
    chip.terminal |= bit;
    chip.soft_requests &= static_cast<u8>(~bit);
    if (c.mode & kAutoInitialise) {
        c.address = c.base_address;
        c.count = c.base_count;
    } else {
        chip.mask |= bit;
    }
    const Peer& peer = peers_[number];
    if (peer.device && peer.device->terminal_count) peer.device->terminal_count(peer.instance);
}

}  // namespace backplane::dma
