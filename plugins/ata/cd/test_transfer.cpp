// Sectors to the host: blocks, DMA, raw sectors, errors, resets and media changes in the middle, saved state.
#include <catch2/catch.hpp>
#include <random>

#include "rig.hpp"

using namespace backplane;
using ata::testkit::CdRig;

TEST_CASE("READ 10 and READ 12 give sectors in blocks of the host's limit") {
    CdRig r;
    for (const u32 limit : {2048u, 2046u, 100u, 3001u, 4096u, 32768u, 0xfffeu, 0xffffu}) {
        CHECK((r.packet(CdRig::read10(3, 70), limit) == CdRig::data(3, 70)));
        const u32 even = std::min(limit, 0xfffeu) & ~1u;
        for (std::size_t i = 0; i + 1 < r.blocks.size(); ++i) CHECK(r.blocks[i] == even);
        CHECK(r.blocks.size() == (70 * 2048 + even - 1) / even);
        CHECK(r.alternate() == 0x50);
    }
    CHECK((r.packet({0xa8, 0, 0, 0, 0, 1, 0, 0, 0, 2}, 2048) == CdRig::data(1, 2)));
    CHECK(r.blocks == std::vector<u32>{2048, 2048});
    CHECK(r.packet(CdRig::read10(5, 0)).empty());
    CHECK(r.alternate() == 0x50);
}

TEST_CASE("a limit of nothing is no limit for commands without data, and refused with data") {
    CdRig r;
    for (const CdRig::Packet& p : {CdRig::read10(0, 1), CdRig::Packet{0x12, 0, 0, 0, 36}}) {
        r.packet(p, 0);
        CHECK(r.registers() == "41 04 01 0000");
    }
    r.packet(CdRig::read10(0, 1), 1);
    CHECK(r.alternate() == 0x41);
    r.packet({0}, 0);
    CHECK(r.alternate() == 0x50);
    CHECK(r.packet({0x12, 0, 0, 0, 7}, 4).size() == 7);
    CHECK(r.blocks == std::vector<u32>{4, 3});
}

TEST_CASE("sectors that are not there are refused before anything is read") {
    CdRig r;
    CHECK(r.outcome(CdRig::read10(488, 1)) == "05/21");
    CHECK(r.outcome(CdRig::read10(487, 2)) == "05/21");
    CHECK(r.outcome(CdRig::read10(0xffffffff, 0xffff)) == "05/21");
    CHECK(r.outcome({0xa8, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff}) == "05/21");
    CHECK(r.drive.reads == 0);
    CHECK(r.outcome(CdRig::read10(487, 1)) == "ok");
}

TEST_CASE("DMA: data, then one interrupt, for sectors and for replies") {
    CdRig r;
    r.interrupts = r.ends = 0;
    CHECK((r.packet_dma(CdRig::read10(10, 100)) == CdRig::data(10, 100)));
    CHECK(r.interrupts == 1);
    CHECK(r.ends == 1);
    CHECK(r.in(7) == 0x50);
    CHECK(r.in(2) == 3);
    CHECK(r.packet_dma({0x12, 0, 0, 0, 36}).size() == 36);
    CHECK(r.ends == 2);
    r.in(7);
    CHECK(r.packet_dma({0}).empty());
    CHECK(r.wire);
    CHECK(r.in(7) == 0x50);
    CHECK(r.ends == 2);
}

TEST_CASE("DMA waits for the bus master, and a bus master that gives up ends the command") {
    CdRig r;
    r.out(1, 1);
    r.command(0xa0);
    r.send(CdRig::read10(0, 2));
    CHECK(r.alternate() == 0xd8);
    r.settle();
    CHECK(r.alternate() == 0xd8);
    CHECK_FALSE(r.wire);
    r.channel.dma_cancel();
    CHECK(r.alternate() == 0x51);
    CHECK(r.in(1) == 4);
    CHECK_FALSE(r.wire);
    CHECK((r.packet(CdRig::read10(7, 2)) == CdRig::data(7, 2)));
    CdRig pio_only(488, {}, false);
    pio_only.out(1, 1);
    pio_only.command(0xa0);
    CHECK(pio_only.alternate() == 0x41);
}

TEST_CASE("READ CD gives user data, whole sectors or nothing") {
    CdRig r;
    CHECK(r.packet({0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0}).empty());
    CHECK((r.packet({0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0x10}) == CdRig::data(1, 1)));
    for (const u32 limit : {2352u, 0xfffeu, 1000u}) {
        const auto raw = r.packet({0xbe, 0, 0, 0, 0, 1, 0, 0, 40, 0xf8}, limit);
        REQUIRE(raw.size() == 40 * 2352);
        for (u32 i = 0; i < 40; ++i) {
            const auto at = raw.begin() + i * 2352;
            CHECK(CdRig::hex({at, at + 12}) == "00ffffffffffffffffffff00");
            CHECK((at[12] == 0 && at[13] == (i + 151) / 75 && at[14] == (i + 151) % 75 && at[15] == 1));
            CHECK((std::vector<u8>(at + 16, at + 2064) == CdRig::data(1 + i, 1)));
            CHECK(std::all_of(at + 2064, at + 2352, [](u8 b) { return b == 0; }));
        }
    }
    CHECK(r.outcome({0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0x20}) == "05/24");
    CHECK(r.outcome({0xbe, 0, 0, 0, 1, 0xe8, 0, 0, 1, 0xf8}) == "05/21");
}

TEST_CASE("an unreadable sector: what comes before it arrives, then a medium error") {
    CdRig r;
    r.drive.bad = {45 * 4 + 1};
    CHECK((r.packet(CdRig::read10(10, 60), 3000) == CdRig::data(10, 35)));
    CHECK(r.registers().substr(0, 8) == "41 30 03");
    CHECK(r.sense(0x30) == "03/11");
    CHECK((r.packet_dma(CdRig::read10(10, 60)) == CdRig::data(10, 35)));
    CHECK(r.ends == 1);
    CHECK(r.in(7) == 0x41);
    CHECK(r.packet(CdRig::read10(45, 1)).empty());
    CHECK(r.in(1) == 0x30);
    CHECK((r.packet(CdRig::read10(46, 10)) == CdRig::data(46, 10)));
}

TEST_CASE("a medium that goes away in the middle: the rest is not ready") {
    CdRig r;
    r.out(4, 0), r.out(5, 8);
    r.command(0xa0);
    r.send(CdRig::read10(0, 64));
    r.settle();
    r.drive.change(0);
    unsigned words = 0;
    while (r.alternate() & 8) {
        r.channel.read(0, 2), ++words;
        r.settle();
    }
    CHECK(words == 32 * 1024);  // what was read before
    CHECK(r.alternate() == 0x41);
    CHECK(r.sense(r.in(1)) == "02/3a");
}

TEST_CASE("resets in the middle of a read leave nothing behind") {
    CdRig r;
    for (int kind = 0; kind < 3; ++kind)
        for (const bool answered : {false, true}) {
            r.out(4, 0), r.out(5, 8);
            r.command(0xa0);
            r.send(CdRig::read10(100, 5));
            CHECK(r.alternate() & 0x80);
            if (answered) r.settle(), r.channel.read(0, 2);
            if (kind == 0) r.command(0x08);  // DEVICE RESET is for busy drives
            if (kind == 1) r.channel.write_control(4), r.channel.write_control(0);
            if (kind == 2) r.channel.reset(), r.board->reset();
            CHECK(r.alternate() == (kind == 2 ? 0x50 : 0));
            CHECK(r.in(5) == 0xeb);
            CHECK_FALSE(r.wire);
            r.drive.run();
            CHECK(r.channel.read(0, 2) == 0);
            CHECK_FALSE(r.wire);
            CHECK((r.packet(CdRig::read10(3, 2)) == CdRig::data(3, 2)));
        }
    r.command(0xa0);  // in the middle of a packet
    r.channel.write(0, 2, 0x28);
    r.command(0x08);
    CHECK(r.alternate() == 0);
    CHECK(r.packet({0x12, 0, 0, 0, 3}).size() == 3);
}

TEST_CASE("a saved state goes on in the middle of a packet, a read and a block") {
    for (const u32 words : {0u, 3u, 6u, 7u, 100u, 1030u, 40000u}) {
        CdRig a, b;
        a.out(4, 0), a.out(5, 12);  // 3072
        a.command(0xa0);
        const CdRig::Packet whole = {0x28, 0, 0, 0, 0, 9, 0, 0, 50, 0, 0, 0};
        std::vector<u8> data;
        // Up to six words of packet, then data.
        const auto go = [&](CdRig& r, u32 from, u32 to) {
            for (u32 i = from; i < to; ++i) {
                if (i < 6) {
                    r.channel.write(0, 2, whole[2 * i] | whole[2 * i + 1] << 8);
                    continue;
                }
                r.settle();
                const u64 word = r.channel.read(0, 2);
                data.push_back(static_cast<u8>(word)), data.push_back(static_cast<u8>(word >> 8));
            }
        };
        go(a, 0, words);
        REQUIRE(b.board->load(a.board->save()) == BP_OK);
        go(b, words, 6 + 50 * 1024);
        CHECK((data == CdRig::data(9, 50)));
        CHECK(b.alternate() == 0x50);
        CHECK(b.board->save().fields.at("count").bytes == std::string("\x03"));
    }
}

TEST_CASE("states that contradict themselves are refused") {
    CdRig r;
    r.out(4, 0), r.out(5, 12);
    r.command(0xa0);
    r.send(CdRig::read10(9, 50));
    const auto good = r.board->save();
    const auto refused = [&](const char* field, u32 value) {
        auto s = good;
        std::string& bytes = s.fields.at(field).bytes;
        for (std::size_t i = 0; i < bytes.size() && i < 4; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
        CdRig other;
        return other.board->load(s) != BP_OK;
    };
    CHECK_FALSE(refused("count", 7));
    CHECK(refused("position", 70000));
    CHECK(refused("filled", 10));
    CHECK(refused("reading", 31));
    CHECK(refused("left", 3));
    CHECK(refused("work", 0));
    CHECK(refused("phase", 1));
    CHECK(refused("lba", 10));
    CHECK(refused("io_at", 512));
    CHECK(refused("sector_bytes", 2100));
}

TEST_CASE("random packets, media and resets: the drive always comes back") {
    CdRig r;
    std::mt19937 random(20101);
    const auto below = [&](u32 n) { return static_cast<u32>(random() % n); };
    for (int round = 0; round < 3000; ++round) {
        if (below(20) == 0) r.drive.change(below(3) ? 4 * 488 : 0);
        if (below(50) == 0) r.channel.write_control(4), r.channel.write_control(0);
        r.out(1, below(8) == 0 ? below(4) : 0);
        r.out(4, below(256)), r.out(5, below(3) ? below(9) : below(256));
        r.started = below(2);
        r.command(below(10) ? 0xa0 : below(256));
        CdRig::Packet p(12);
        for (u8& b : p) b = static_cast<u8>(below(3) ? 0 : below(256));
        static constexpr u8 kOperations[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b,
                                             0x43, 0x46, 0x5a, 0xa8, 0xad, 0xbb, 0xbd, 0xbe};
        if (below(10)) p[0] = kOperations[below(sizeof kOperations)];
        r.send(p);
        for (u32 n = below(3000); n-- > 0 && (r.alternate() & 0x88);) {
            if (r.alternate() & 0x80) r.drive.run(), r.board->advance(100000);
            r.channel.read(0, below(2) ? 2 : 4);
        }
        if (below(4) == 0) r.command(0x08);
        r.memory.clear();
    }
    r.started = false;
    r.command(0x08);
    r.drive.change(488 * 4);
    for (int tries = 0; tries < 4 && r.outcome({0}) != "ok"; ++tries) {}
    CHECK((r.packet(CdRig::read10(3, 40)) == CdRig::data(3, 40)));
}
