#include "model.hpp"

namespace backplane::dma {
namespace {

// Registers 8-15 (data sheet, "Software Commands").
enum : u64 {
    kStatusCommand = 8,
    kRequest = 9,
    kSingleMask = 10,
    kMode = 11,
    kClearFlipFlop = 12,
    kMasterClear = 13,
    kClearMask = 14,
    kAllMask = 15
};
constexpr u8 kCommandMemoryToMemory = 0x01;
constexpr u8 kSet = 0x04;  // in request and single mask: set instead of clear

// Which channel the n-th page register belongs to; the AT's order (Technical Reference, "DMA Page Registers").
constexpr std::array<u8, 8> kPageChannel{2, 3, 1, 0, 6, 7, 5, 4};

}  // namespace

template <unsigned N>
const bp_isa_dma I8237Pair::kChannel{sizeof(bp_isa_dma),
                                     [](void* i, const bp_isa_dma_device* device, void* instance) {
                                         return static_cast<I8237Pair*>(i)->connect(N, device, instance);
                                     },
                                     [](void* i, int level) { static_cast<I8237Pair*>(i)->request(N, level != 0); }};

void I8237Pair::describe(Schema<I8237Pair>& s) {
    s.doc(
        "The DMA controllers of a PC/AT: two 8237A in cascade with 8-bit page registers. Channels are the offers "
        "ch0-ch3 (bytes) and "
        "ch5-ch7 (words). Memory-to-memory transfers are not modelled.");
    s.ports<&I8237Pair::read1, &I8237Pair::write1>("dma1", 16, 1, "first controller, channels 0-3");
    s.ports<&I8237Pair::read2, &I8237Pair::write2>("dma2", 32, 1,
                                                   "second controller, channels 4-7, registers at even ports");
    s.ports<&I8237Pair::read_page<0>, &I8237Pair::write_page<0>>("pages1", 3, 1, "page registers of channels 2, 3, 1");
    s.ports<&I8237Pair::read_page<3>, &I8237Pair::write_page<3>>("page0", 1, 1, "page register of channel 0");
    s.ports<&I8237Pair::read_page<4>, &I8237Pair::write_page<4>>("pages2", 3, 1, "page registers of channels 6, 7, 5");
    s.ports<&I8237Pair::read_page<7>, &I8237Pair::write_page<7>>("refresh", 1, 1,
                                                                 "page register of channel 4 (memory refresh)");
    s.timer<&I8237Pair::resume>("resume", &I8237Pair::resume_);
    s.offer(BP_ISA_DMA_ID, &kChannel<0>, "ch0");
    s.offer(BP_ISA_DMA_ID, &kChannel<1>, "ch1");
    s.offer(BP_ISA_DMA_ID, &kChannel<2>, "ch2");
    s.offer(BP_ISA_DMA_ID, &kChannel<3>, "ch3");
    s.offer(BP_ISA_DMA_ID, &kChannel<5>, "ch5");
    s.offer(BP_ISA_DMA_ID, &kChannel<6>, "ch6");
    s.offer(BP_ISA_DMA_ID, &kChannel<7>, "ch7");
    s.trace("transfer", &I8237Pair::trace_, "transfers and terminal counts");
}

template <unsigned First>
u64 I8237Pair::read_page(u64 offset, u32) {
    return channel(kPageChannel[First + offset]).page;
}

template <unsigned First>
void I8237Pair::write_page(u64 offset, u32, u64 value) {
    channel(kPageChannel[First + offset]).page = static_cast<u8>(value);
}

void I8237Pair::write2(u64 offset, u32, u64 value) {
    if (!(offset & 1)) write(1, offset >> 1, static_cast<u8>(value));
}

u8 I8237Pair::read_word(Chip& chip, u16 value) {
    const bool high = chip.high_byte;
    chip.high_byte = !high;
    return static_cast<u8>(high ? value >> 8 : value);
}

u8 I8237Pair::read(unsigned number, u64 reg) {
    Chip& chip = chips_[number];
    if (reg < kStatusCommand) {
        const Channel& c = chip.channels[reg >> 1];
        return read_word(chip, reg & 1 ? c.count : c.address);
    }
    switch (reg) {
        case kStatusCommand: {
            u8 status = chip.terminal;
            for (unsigned i = 0; i < 4; ++i)
                if (chip.channels[i].requested || (chip.soft_requests & 1 << i)) status |= static_cast<u8>(0x10 << i);
            chip.terminal = 0;
            return status;
        }
        case kAllMask: return static_cast<u8>(0xf0 | chip.mask);
        default: return 0;  // the temporary register of memory-to-memory transfers, and write-only registers
    }
}

void I8237Pair::write(unsigned number, u64 reg, u8 value) {
    Chip& chip = chips_[number];
    if (reg < kStatusCommand) {
        Channel& c = chip.channels[reg >> 1];
        u16& base = reg & 1 ? c.base_count : c.base_address;
        base = static_cast<u16>(chip.high_byte ? (base & 0x00ff) | value << 8 : (base & 0xff00) | value);
        (reg & 1 ? c.count : c.address) = base;
        chip.high_byte = !chip.high_byte;
        return;
    }
    write_command(chip, reg, value);
    serve();
}

void I8237Pair::write_command(Chip& chip, u64 reg, u8 value) {
    const u8 bit = static_cast<u8>(1 << (value & 3));
    switch (reg) {
        case kStatusCommand:
            if (value & kCommandMemoryToMemory) log_unimplemented("memory-to-memory transfers (command %02x)", value);
            chip.command = value;
            break;
        case kRequest:
            chip.soft_requests = static_cast<u8>(value & kSet ? chip.soft_requests | bit : chip.soft_requests & ~bit);
            break;
        case kSingleMask: chip.mask = static_cast<u8>(value & kSet ? chip.mask | bit : chip.mask & ~bit); break;
        case kMode: chip.channels[value & 3].mode = value & 0xfc; break;
        case kClearFlipFlop: chip.high_byte = false; break;
        case kMasterClear: clear(chip); break;
        case kClearMask: chip.mask = 0; break;
        case kAllMask: chip.mask = value & 0x0f; break;
        default: break;
    }
}

// Command, status, request, mask and flip-flop; addresses, counts and modes stay (data sheet, "Master Clear").
void I8237Pair::clear(Chip& chip) {
    chip.command = chip.soft_requests = chip.terminal = 0;
    chip.mask = 0x0f;
    chip.high_byte = false;
}

void I8237Pair::reset(Reset kind) {
    resume_.cancel();
    for (Chip& chip : chips_) {
        clear(chip);
        for (Channel& c : chip.channels) {
            const bool requested =
                c.requested && kind != Reset::kPowerOn;  // the devices withdraw it in their own reset
            c = Channel{};
            c.requested = requested;
        }
    }
}

void I8237Pair::state(StateVisitor& v) {
    v.each("chip", chips_, [](StateVisitor& visitor, Chip& chip) {
        visitor.each("channel", chip.channels, [](StateVisitor& inner, Channel& c) {
            inner("base_address", c.base_address);
            inner("base_count", c.base_count);
            inner("address", c.address);
            inner("count", c.count);
            inner("mode", c.mode);
            inner("page", c.page);
            inner("requested", c.requested);
        });
        visitor("command", chip.command);
        visitor("mask", chip.mask, {.max = 0x0f});
        visitor("soft_requests", chip.soft_requests, {.max = 0x0f});
        visitor("terminal", chip.terminal, {.max = 0x0f});
        visitor("high_byte", chip.high_byte);
    });
}

}  // namespace backplane::dma
