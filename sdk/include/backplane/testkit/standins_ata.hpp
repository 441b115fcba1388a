// Stand-ins for ATA: the channel over a drive, and a drive on a channel.
#pragma once

#include <algorithm>

#include "backplane/abi/ata.h"
#include "backplane/testkit/standin.hpp"

namespace backplane::testkit {

// A channel that gives the drive under test commands, moves data and resets it.
class AtaHost : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void act(Random& random) override {
        if (!met()) return;
        switch (random.below(8)) {
            case 0: return command(random);
            case 1: return move_data(random);
            case 2: return move_dma(random);
            case 3: return write(1 + random.small(6), static_cast<u8>(random.value(1)));
            case 4:
                return random.one_in(8) ? control(static_cast<u8>(random.small(2) * 4 + random.small(2) * 2)) : read(7);
            case 5: return random.one_in(8) ? drive().dma_cancel(device_.instance) : read(8);
            case 6: return info();
            default: return read(1 + random.small(8));
        }
    }
    void sweep() override {
        for (u32 reg = 1; met() && reg <= 8; ++reg) read(reg);
        if (met()) info();
    }
    void copy(const Standin& other) override {
        Standin::copy(other);
        running_ = static_cast<const AtaHost&>(other).running_;
    }

  private:
    const bp_ata_device& drive() const { return table<bp_ata_device>(); }
    void write(u32 reg, u8 value) {
        note("ata %u <- %02x", reg, value);
        drive().write(device_.instance, reg, value);
    }
    void read(u32 reg) {
        const u8 value = drive().read(device_.instance, reg);
        note("ata %u -> %02x", reg, value);
    }
    void control(u8 value) {
        note("ata control %02x", value);
        drive().control(device_.instance, value);
    }
    // Commands that drives know, with an address near the start, the end, or anywhere.
    void command(Random& random) {
        static constexpr u8 kCommands[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x42, 0x60, 0x61,
                                           0x70, 0x90, 0x91, 0xa0, 0xa1, 0xb0, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0xe0,
                                           0xe1, 0xe5, 0xe7, 0xea, 0xec, 0xef, 0xf8, 0xf9, 0x27, 0x37, 0x08, 0x00};
        if (random.one_in(3)) {
            write(2, static_cast<u8>(random.small(9)));
            write(3, static_cast<u8>(random.next()));
            write(4, static_cast<u8>(random.small(8)));
            write(5, 0);
            write(6, static_cast<u8>(random.one_in(2) ? 0xe0 : 0xa0 + random.small(16)));
        }
        const u8 code = random.one_in(8) ? static_cast<u8>(random.next()) : random.pick(kCommands);
        if (code == 0xb0) write(4, 0x4f), write(5, 0xc2), write(1, static_cast<u8>(0xd0 + random.small(12)));
        if (code == 0xa0) write(1, static_cast<u8>(random.small(2))), write(5, static_cast<u8>(random.small(16)));
        write(7, code);
        if (code == 0xa0 && !random.one_in(4)) packet(random);
    }
    // What CD-ROM drives know, with fields that are small more often than not.
    void packet(Random& random) {
        static constexpr u8 kOperations[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43, 0x46,
                                             0x4a, 0x51, 0x5a, 0xa8, 0xad, 0xb9, 0xbb, 0xbd, 0xbe, 0x2a};
        u8 bytes[12];
        for (u8& byte : bytes)
            byte = static_cast<u8>(random.one_in(4) ? random.next() : random.one_in(2) ? random.small(4) : 0);
        bytes[0] = random.pick(kOperations);
        note("ata packet %02x", bytes[0]);
        for (u32 i = 0; i < sizeof bytes; i += 2)
            drive().data_write(device_.instance, 2, bytes[i] | static_cast<u32>(bytes[i + 1]) << 8);
    }
    void move_data(Random& random) {
        const u32 bytes = random.one_in(2) ? 2 : 4;
        u32 sum = 0;
        const bool in = random.one_in(2);
        for (u32 n = random.one_in(2) ? 256 : random.small(16); n-- > 0;) {
            if (in)
                sum = sum * 31 + drive().data_read(device_.instance, bytes);
            else
                drive().data_write(device_.instance, bytes, n * 0x1357u);
        }
        note("ata data %x", sum);
    }
    // One window, as a bus master does it.
    void move_dma(Random& random) {
        u32 bytes = 0;
        int to_memory = 0;
        void* data = drive().dma_window(device_.instance, &bytes, &to_memory);
        if (!data || !bytes) return;
        const u32 part = random.one_in(2) ? bytes : 1 + random.small(bytes);
        if (!to_memory) random.fill(data, part);
        note("ata dma %u of %u, checksum %llx", part, bytes, static_cast<unsigned long long>(checksum(data, bytes)));
        drive().dma_advance(device_.instance, part);
    }
    void info() {
        bp_ata_info out{};
        out.size = sizeof out;
        drive().info(device_.instance, &out);
        note("ata drive of %llu sectors, kind %u", static_cast<unsigned long long>(out.sectors_total), out.kind);
    }
    static AtaHost& at(void* i) { return *static_cast<AtaHost*>(i); }
    static void dma_ready(void* i) {
        at(i).note("ata dma ready");
        if (at(i).running_ || !at(i).random_.one_in(2)) return;
        at(i).running_ = true;
        for (u32 n = 0; n < 4; ++n) at(i).move_dma(at(i).random_);
        at(i).running_ = false;
    }
    static const bp_ata_bus kTable;
    bool running_ = false;
};

inline const bp_ata_bus AtaHost::kTable{sizeof(bp_ata_bus),
                                        [](void*, bp_ata_place* p) {
                                            *p = {p->size, 0, 0, 1};
                                        },
                                        [](void* i, int level) { at(i).note("ata intrq %d", level != 0); }, dma_ready,
                                        [](void* i) { at(i).note("ata dma end"); }};

// A drive that says yes to everything: registers that store, DRQ at random, windows of DMA data.
class AtaChild : public Standin {
  public:
    using Standin::Standin;
    bp_interface interface() override { return {&kTable, this}; }
    void act(Random& random) override {
        if (!met()) return;
        const bp_ata_bus& bus = table<bp_ata_bus>();
        switch (random.below(4)) {
            case 0: return bus.intrq(device_.instance, random.small(2) != 0);
            case 1:
                left_ = 2 * (1 + random.small(kWindow / 2)), position_ = 0, to_memory_ = random.one_in(2);
                return bus.dma_ready(device_.instance);
            case 2: return bus.dma_end(device_.instance);
            default: registers_[7] = static_cast<u8>(0x50 | random.small(2) << 3 | random.small(2) << 7);
        }
    }
    void copy(const Standin& other) override {
        Standin::copy(other);
        const auto& o = static_cast<const AtaChild&>(other);
        std::copy_n(o.registers_, sizeof registers_, registers_);
        std::copy_n(o.window_, sizeof window_, window_);
        left_ = o.left_, position_ = o.position_, to_memory_ = o.to_memory_;
    }

  private:
    static constexpr u32 kWindow = 4096;
    static AtaChild& at(void* i) { return *static_cast<AtaChild*>(i); }
    static void info(void*, bp_ata_info* out) {
        const u32 size = out->size;
        *out = {};
        out->size = size, out->kind = BP_ATA_KIND_DISK;
        out->sectors_total = 16383 * 16 * 63;
        out->cylinders = out->lcylinders = 1024, out->heads = out->lheads = 16, out->sectors = out->lsectors = 63;
        out->reason = to_bp("a drive of the test kit");
    }
    static u8 read(void* i, u32 reg) { return at(i).registers_[reg == 8 ? 7 : reg & 7]; }
    static void write(void* i, u32 reg, u8 value) {
        at(i).note("drive: %u <- %02x", reg, value);
        if (reg < 1 || reg > 7) at(i).blame("it writes a register that a drive has not");
        if (reg < 7) at(i).registers_[reg] = value;
    }
    static void* window(void* i, u32* bytes, int* to_memory) {
        *bytes = at(i).left_, *to_memory = at(i).to_memory_;
        return at(i).left_ ? at(i).window_ + at(i).position_ : nullptr;
    }
    static void advance(void* i, u32 bytes) {
        AtaChild& self = at(i);
        if (bytes > self.left_) return self.blame("it moves more DMA data than the drive has");
        self.note("drive: %u bytes moved, checksum %llx", bytes,
                  static_cast<unsigned long long>(checksum(self.window_ + self.position_, bytes)));
        self.left_ -= bytes, self.position_ += bytes;
        if (!self.left_ && self.met()) self.table<bp_ata_bus>().dma_end(self.device_.instance);
    }
    static const bp_ata_device kTable;
    u8 registers_[8] = {0, 1, 1, 1, 0, 0, 0xa0, 0x50};
    u8 window_[kWindow] = {};
    u32 left_ = 0, position_ = 0;
    bool to_memory_ = false;
};

inline const bp_ata_device AtaChild::kTable{
    sizeof(bp_ata_device),
    info,
    read,
    write,
    [](void* i, u8 value) { at(i).note("drive: control %02x", value); },
    [](void* i, u32 bytes) { return static_cast<u32>(at(i).random_.next() & Board::ones(bytes)); },
    [](void* i, u32, u32 value) { at(i).note("drive: data %x", value); },
    window,
    advance,
    [](void* i) {
        at(i).note("drive: dma cancelled");
        at(i).left_ = 0;
    }};

}  // namespace backplane::testkit
