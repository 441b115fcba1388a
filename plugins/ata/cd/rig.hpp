// A channel with one CD-ROM drive over a medium in memory, for the drive's tests.
#pragma once

#include <memory>
#include <string>

#include "ata/testkit.hpp"
#include "backplane/testkit/bench.hpp"
#include "model.hpp"

namespace backplane::ata::testkit {

using backplane::testkit::Board;
using backplane::testkit::Properties;

struct CdRig : Recorder {
    using Packet = std::vector<u8>;
    static constexpr u64 kSectors = 488;

    explicit CdRig(u64 sectors = kSectors, Properties properties = {}, bool with_dma = true)
        : Recorder(with_dma), drive(sectors * 4) {
        board = std::make_unique<Board>(&DeviceType<Cd>::value, std::move(properties),
                                        backplane::testkit::Links{{"drive", drive.drive()}});
        bp_interface host{};
        if (!channel.attach("0", board->offer(BP_ATA_DEVICE_ID), &host).empty()) throw std::logic_error("attach");
        board->plug_into(host);
        if (board->start() != BP_OK) throw std::runtime_error("start failed: " + board->failure);
        board->reset(Reset::kPowerOn);
        channel.reset();
        for (u64 i = 0; i < std::min<u64>(sectors, kSectors) * 4; ++i) drive.sector(i) = pattern(i);
    }

    u8 in(u32 reg) { return static_cast<u8>(channel.read(reg, 1)); }
    void out(u32 reg, u32 value) { channel.write(reg, 1, value); }
    u8 alternate() { return channel.read_alternate(); }
    void command(u32 code) { out(BP_ATA_STATUS, code); }
    void settle() {
        for (int i = 0; i < 1000 && ((alternate() & 0x88) == 0x80 || drive.pending()); ++i)
            drive.run(), board->advance(1000000);
    }
    // Error register, count, and the limit's registers, with status first: "50 00 03 1234".
    std::string registers() {
        char text[32];
        std::snprintf(text, sizeof text, "%02x %02x %02x %02x%02x", alternate(), in(1), in(2), in(5), in(4));
        return text;
    }
    void send(Packet p) {
        p.resize(12);
        for (unsigned i = 0; i < 12; i += 2) channel.write(0, 2, p[i] | p[i + 1] << 8);
    }
    // A whole command by PIO; the blocks' lengths are in `blocks`.
    std::vector<u8> packet(const Packet& p, u32 limit = 0xfffe) {
        blocks.clear();
        out(1, 0), out(4, limit & 0xff), out(5, limit >> 8);
        command(0xa0);
        send(p);
        std::vector<u8> all;
        while (true) {
            settle();
            if (!(alternate() & 8)) break;
            if (!wire || in(2) != 2) throw std::logic_error("a block that is not announced");
            const u32 bytes = in(4) | static_cast<u32>(in(5)) << 8;
            blocks.push_back(bytes);
            in(7);
            for (u32 i = 0; i < bytes; i += 2) {
                const u64 word = channel.read(0, 2);
                all.push_back(static_cast<u8>(word));
                if (i + 1 < bytes) all.push_back(static_cast<u8>(word >> 8));
            }
        }
        if (!wire) throw std::logic_error("an end without an interrupt");
        in(7);
        return all;
    }
    // By DMA, with a bus master that takes everything.
    std::vector<u8> packet_dma(const Packet& p) {
        started = true;
        memory.clear();
        out(1, 1);
        command(0xa0);
        send(p);
        settle();
        return memory;
    }
    // "ok", or key/code of what went wrong.
    std::string outcome(const Packet& p) {
        packet(p);
        if (alternate() == 0x50 && in(1) == 0 && in(2) == 3) return "ok";
        const u8 error = in(1);
        if (alternate() != 0x41 || in(2) != 3) return registers();
        return sense(error);
    }
    std::string sense(u8 error) {
        const auto s = packet({0x03, 0, 0, 0, 18});
        if (s.size() != 18 || s[2] << 4 != error) return "no sense data";
        char text[8];
        std::snprintf(text, sizeof text, "%02x/%02x", s[2], s[12]);
        return text;
    }
    static std::string hex(const std::vector<u8>& bytes) {
        std::string text;
        for (const u8 b : bytes) {
            char two[3];
            std::snprintf(two, sizeof two, "%02x", b);
            text += two;
        }
        return text;
    }
    static Packet read10(u32 lba, u32 count) {
        const auto b = [](u32 v, unsigned n) { return static_cast<u8>(v >> (8 * n)); };
        return {0x28, 0, b(lba, 3), b(lba, 2), b(lba, 1), b(lba, 0), 0, b(count, 1), b(count, 0)};
    }
    // 512-byte sector of the medium.
    static std::vector<u8> pattern(u64 sector) {
        std::vector<u8> s(512);
        for (unsigned i = 0; i < 512; ++i) s[i] = static_cast<u8>(sector * 7 + i * 3 + (sector >> 8));
        return s;
    }
    static std::vector<u8> data(u32 lba, u32 count) {
        std::vector<u8> all;
        for (u64 i = u64{lba} * 4; i < (u64{lba} + count) * 4; ++i) {
            const auto s = pattern(i);
            all.insert(all.end(), s.begin(), s.end());
        }
        return all;
    }

    FakeDrive drive;
    std::unique_ptr<Board> board;
    std::vector<u32> blocks;
};

}  // namespace backplane::ata::testkit
