// Commands with sectors: addresses, blocks, DMA, errors, resets in the middle, saved state, and random accesses.
#include <catch2/catch.hpp>
#include <random>

#include "rig.hpp"

using namespace backplane;
using ata::testkit::FakeImage;
using ata::testkit::Rig;

namespace {

std::vector<u8> patterns(u64 lba, u64 count) {
    std::vector<u8> all;
    for (u64 i = lba; i < lba + count; ++i) {
        const auto s = Rig::pattern(i);
        all.insert(all.end(), s.begin(), s.end());
    }
    return all;
}

// Reads all blocks of a PIO command, with an interrupt for each.
std::vector<u8> read_blocks(Rig& r, unsigned sectors, unsigned block) {
    std::vector<u8> all;
    while (sectors) {
        r.settle();
        const unsigned n = std::min(sectors, block);
        CHECK(r.wire);
        CHECK(r.in(7) == 0x58);
        CHECK_FALSE(r.wire);
        const auto part = r.bytes(n * 512);
        all.insert(all.end(), part.begin(), part.end());
        sectors -= n;
    }
    CHECK(r.in(7) == 0x50);
    return all;
}

void write_blocks(Rig& r, const std::vector<u8>& data, unsigned block) {
    for (std::size_t at = 0; at < data.size(); at += block * 512) {
        CHECK(r.wire == (at != 0));  // the first block is not announced
        CHECK(r.in(7) == 0x58);
        const std::size_t end = std::min(data.size(), at + block * 512);
        r.send({data.begin() + static_cast<long>(at), data.begin() + static_cast<long>(end)});
        CHECK(r.in(7) & 0x80);
        r.settle();
    }
    CHECK(r.wire);
    CHECK(r.in(7) == 0x50);
}

}  // namespace

TEST_CASE("PIO reads: sector by sector, with an interrupt for each") {
    Rig r;
    r.mark(0x12345, 3);
    for (const u8 code : {0x20, 0x21}) {
        r.lba28(0x12345, 3);
        r.command(code);
        CHECK(r.in(7) & 0x80);
        CHECK(read_blocks(r, 3, 1) == patterns(0x12345, 3));
    }
    CHECK(r.image.reads == 2);  // one access to the image for each command
}

TEST_CASE("a count of zero is 256 sectors, or 65536 with 48-bit addresses") {
    Rig r(4294967296 + 100000);
    r.mark(100, 256);
    r.lba28(100, 0);
    r.command(0x20);
    CHECK(read_blocks(r, 256, 1) == patterns(100, 256));

    r.mark(4294967296, 70);
    r.lba48(4294967296, 0);
    r.command(0x24);
    for (unsigned i = 0; i < 65536; ++i) {
        if (r.alternate() & 0x80) r.settle();
        const auto data = r.bytes(512);
        if (i < 70 && data != Rig::pattern(4294967296 + i)) FAIL("sector " << i);
    }
    CHECK(r.in(7) == 0x50);
}

TEST_CASE("CHS addresses use the physical geometry") {
    Rig r(4194304);  // 4161/16/63
    r.mark((2 * 16 + 3) * 63 + 4, 1);
    r.chs(2, 3, 5, 1);
    r.command(0x20);
    CHECK(read_blocks(r, 1, 1) == patterns((2 * 16 + 3) * 63 + 4, 1));
    CHECK(r.in(3) == 6);  // the next sector
    CHECK(r.in(4) == 2);
    CHECK((r.in(6) & 15) == 3);
    CHECK(r.in(2) == 0);

    r.chs(2, 15, 63, 1);
    r.command(0x20);
    read_blocks(r, 1, 1);
    CHECK(r.in(3) == 1);
    CHECK(r.in(4) == 3);
    CHECK((r.in(6) & 15) == 0);
}

TEST_CASE("commands for addresses that are not there abort") {
    Rig r(2000);
    const auto fails = [&r](u8 code) {
        r.command(code);
        CHECK(r.wire);
        CHECK(r.in(7) == 0x41);
        CHECK(r.in(1) == 0x04);
        CHECK(r.image.pending() == 0);
    };
    for (const u8 code : {0x20, 0x30, 0xc8, 0xca, 0xc4, 0xc5, 0x40}) {
        r.lba28(2000, 1);
        fails(code);
        r.lba28(1999, 2);
        fails(code);
        r.lba28(0x0fffffff, 1);
        fails(code);
        r.chs(0, 0, 0, 1);
        fails(code);
        r.chs(0, 1, 0, 1);  // sectors count from one
        fails(code);
    }
    for (const u8 code : {0x24, 0x25, 0x34, 0x35, 0x29, 0x39, 0x42}) {
        r.lba48(0xffffffffffff, 1);
        fails(code);
        r.lba48(1, 2000);
        fails(code);
    }
    r.lba28(1999, 1);
    r.command(0x20);
    read_blocks(r, 1, 1);
}

TEST_CASE("READ and WRITE MULTIPLE move blocks") {
    Rig r;
    r.mark(10, 40);
    r.lba28(10, 40);
    r.command(0xc4);
    CHECK(read_blocks(r, 40, 16) == patterns(10, 40));
    r.out(2, 4);
    r.command(0xc6);
    r.in(7);
    r.lba48(10, 10);
    r.command(0x29);
    CHECK(read_blocks(r, 10, 4) == patterns(10, 10));
    for (const u8 code : {0xc5, 0xcd}) {
        r.lba28(500, 10);
        r.command(code);
        write_blocks(r, patterns(500, 10), 4);
        for (u64 i = 500; i < 510; ++i) CHECK(r.image.sector(i) == Rig::pattern(i));
    }
    r.lba48(600, 7);
    r.command(0x39);
    write_blocks(r, patterns(600, 7), 4);
    CHECK(r.image.sector(606) == Rig::pattern(606));

    r.out(2, 0);
    r.command(0xc6);
    r.in(7);
    r.lba28(10, 1);
    r.command(0xc4);
    CHECK(r.in(7) == 0x41);
}

TEST_CASE("PIO writes reach the image block by block") {
    Rig r;
    for (const u8 code : {0x30, 0x31, 0x38, 0x3c}) {
        r.lba28(1000u + code, 3);
        r.command(code);
        write_blocks(r, patterns(1000u + code, 3), 1);
        for (u64 i = 0; i < 3; ++i) CHECK(r.image.sector(1000u + code + i) == Rig::pattern(1000u + code + i));
    }
    r.lba48(70000, 2);
    r.command(0x34);
    write_blocks(r, patterns(70000, 2), 1);
    CHECK(r.image.sector(70001) == Rig::pattern(70001));
}

TEST_CASE("the data register moves dwords and copes with an odd end") {
    Rig r;
    r.mark(1, 1);
    r.lba28(1, 1);
    r.command(0x20);
    r.settle();
    r.channel.read(0, 2);
    for (int i = 0; i < 127; ++i) r.channel.read(0, 4);
    CHECK(r.in(7) == 0x58);
    const auto p = Rig::pattern(1);
    CHECK(r.channel.read(0, 4) == static_cast<u64>(p[510] | p[511] << 8));  // two bytes were left
    CHECK(r.in(7) == 0x50);
}

TEST_CASE("DMA reads: data first, then one interrupt") {
    Rig r;
    r.started = true;
    r.mark(77, 300);
    for (const u8 code : {0xc8, 0xc9}) {
        r.memory.clear(), r.interrupts = r.ends = 0;
        r.lba28(77, 0);
        r.command(code);
        CHECK(r.alternate() & 0x80);
        CHECK_FALSE(r.wire);
        r.settle();
        CHECK(r.memory == patterns(77, 256));
        CHECK(r.interrupts == 1);
        CHECK(r.ends == 1);
        CHECK(r.in(7) == 0x50);
    }
    r.memory.clear();
    r.lba48(77, 300);
    r.command(0x25);
    r.settle();
    CHECK(r.memory == patterns(77, 300));
}

TEST_CASE("DMA waits for the bus master in the state that software expects") {
    Rig r;
    r.mark(5, 1);
    r.lba28(5, 1);
    r.command(0xc8);
    r.settle();
    CHECK(r.in(7) == 0xd8);
    CHECK_FALSE(r.wire);
    r.pump();
    CHECK(r.in(7) == 0x50);
    CHECK(r.memory == patterns(5, 1));
}

TEST_CASE("DMA writes complete when the image has them") {
    Rig r;
    r.started = true;
    for (const u8 code : {0xca, 0xcb}) {
        r.memory = patterns(code, 5);
        r.lba28(code, 5);
        r.command(code);
        CHECK(r.memory.empty());
        CHECK(r.alternate() & 0x80);
        CHECK(r.ends == 0);
        r.settle();
        CHECK(r.ends == 1);
        r.ends = 0;
        CHECK(r.in(7) == 0x50);
        CHECK(r.image.sector(code + 4u) == Rig::pattern(code + 4u));
    }
    r.memory = patterns(9000, 700);  // more than the buffer holds
    r.lba48(9000, 700);
    r.command(0x35);
    r.settle();
    CHECK(r.in(7) == 0x50);
    for (u64 i = 9000; i < 9700; ++i) CHECK(r.image.sector(i) == Rig::pattern(i));
}

TEST_CASE("without DMA on the host adapter DMA commands are aborted") {
    Rig r(4194304, {}, false, false);
    for (const u8 code : {0xc8, 0xca, 0x25, 0x35}) {
        r.lba28(0, 1);
        r.command(code);
        CHECK(r.in(7) == 0x41);
    }
}

TEST_CASE("a bus master that gives up ends the command without an interrupt") {
    Rig r;
    r.lba28(0, 4);
    r.command(0xca);
    CHECK(r.in(7) == 0xd8);
    r.channel.dma_cancel();
    CHECK(r.in(7) == 0x51);
    CHECK_FALSE(r.wire);
    r.settle();
    CHECK(r.image.writes == 0);
    r.lba28(0, 1);
    r.command(0x20);
    r.channel.dma_cancel();  // not a DMA command: not concerned
    read_blocks(r, 1, 1);
}

TEST_CASE("an unreadable sector: those before it arrive, then the error names it") {
    Rig r;
    r.mark(100, 10);
    r.image.bad = {104};
    r.lba28(100, 10);
    r.command(0x20);
    for (unsigned i = 0; i < 4; ++i) {
        r.settle();
        CHECK(r.in(7) == 0x58);
        CHECK(r.bytes(512) == Rig::pattern(100 + i));
    }
    CHECK(r.wire);
    CHECK(r.in(7) == 0x51);
    CHECK(r.in(1) == 0x40);
    CHECK(r.in(3) == 104);
    CHECK(r.channel.read(0, 2) == 0);

    r.started = true;
    r.lba28(100, 10);
    r.command(0xc8);
    r.settle();
    CHECK(r.memory == patterns(100, 4));
    CHECK(r.ends == 1);
    CHECK(r.in(7) == 0x51);
    CHECK(r.in(3) == 104);

    r.lba28(100, 10);
    r.command(0xc4);  // one block of 16: nothing of it is offered
    r.settle();
    CHECK(r.in(7) == 0x51);
    CHECK(r.in(3) == 104);

    r.lba28(104, 1);
    r.command(0x20);
    r.settle();
    CHECK(r.in(7) == 0x51);
}

TEST_CASE("an error that is gone at the second attempt is none") {
    Rig r;
    r.mark(0, 4);
    r.image.bad = {2};
    r.lba28(0, 4);
    r.command(0x20);
    r.image.run_one();  // fails as a whole
    r.disk->advance(1000000);
    r.image.bad.clear();
    CHECK(read_blocks(r, 4, 1) == patterns(0, 4));
}

TEST_CASE("a failed write is reported with its address") {
    Rig r;
    r.image.bad = {52};
    r.lba28(50, 4);
    r.command(0x30);
    for (int i = 0; i < 3; ++i) {
        r.send(std::vector<u8>(512, 9));
        r.settle();
    }
    CHECK(r.wire);
    CHECK(r.in(7) == 0x51);
    CHECK(r.in(1) == 0x04);
    CHECK(r.in(3) == 52);
    CHECK(r.image.sector(51)[0] == 9);

    r.started = true;
    r.memory = patterns(50, 4);
    r.lba28(50, 4);
    r.command(0xca);
    r.settle();
    CHECK(r.in(7) == 0x51);
    CHECK(r.in(3) == 52);
    CHECK(r.image.sector(51) == Rig::pattern(51));
}

TEST_CASE("a read-only disk reads, and refuses writes") {
    const auto check = [](Rig& r) {
        for (const u8 code : {0x30, 0x34, 0xc5, 0xca, 0x35}) {
            r.lba28(0, 1);
            r.command(code);
            CHECK(r.in(7) == 0x41);
        }
        r.lba28(0, 1);
        r.command(0x20);
        read_blocks(r, 1, 1);
    };
    SECTION("because the drive is") {
        Rig r(1000, {{"read_only", "true"}});
        check(r);
    }
    SECTION("because the image is") {
        Rig r(1000, {}, false, true, true);
        check(r);
    }
}

TEST_CASE("an image that refuses a request is an error of the medium") {
    Rig r;
    r.image.refuse = true;
    r.lba28(0, 1);
    r.command(0x20);
    CHECK(r.in(7) & 0x80);
    r.settle();
    CHECK(r.in(7) == 0x51);
    CHECK(r.in(1) == 0x40);
}

TEST_CASE("VERIFY checks the address only") {
    Rig r;
    r.image.bad = {5};
    for (const u8 code : {0x40, 0x41}) {
        r.lba28(0, 10);
        r.command(code);
        CHECK(r.wire);
        CHECK(r.in(7) == 0x50);
    }
    r.lba48(0, 10);
    r.command(0x42);
    CHECK(r.in(7) == 0x50);
    CHECK(r.image.reads == 0);
}

TEST_CASE("a reset while the image works is answered at once, and the late answer is ignored") {
    Rig r;
    r.mark(7, 2);
    const bool soft = GENERATE(true, false);
    r.lba28(1, 200);
    r.command(0x20);
    REQUIRE(r.image.pending() == 1);
    if (soft) {
        r.channel.write_control(4);
        r.channel.write_control(0);
    } else {
        r.system_reset();
    }
    CHECK(r.in(7) == 0x50);
    r.lba28(7, 2);
    r.command(0x20);
    CHECK(r.image.pending() == 1);  // the new access waits for the old one
    r.image.run_one();
    CHECK(r.in(7) & 0x80);
    CHECK(r.image.pending() == 1);
    CHECK(read_blocks(r, 2, 1) == patterns(7, 2));
}

TEST_CASE("under the deterministic clock the host's speed shows nowhere, also after a reset in the middle") {
    Rig quick, slow;
    for (Rig* r : {&quick, &slow}) {
        r->mark(1, 200);
        r->lba28(1, 200);
        r->command(0x20);
        if (r == &quick) r->image.run();
        r->channel.write_control(4);
        r->channel.write_control(0);
    }
    CHECK(quick.disk->save() == slow.disk->save());
    for (Rig* r : {&quick, &slow}) {
        r->lba28(7, 2);
        r->command(0x20);
        if (r == &quick) r->image.run();
        r->disk->advance(1'000'000);
    }
    // The slow image gets its answers out of the old access and the new one at this point of the guest's time: both
    // are made, and nothing is left but to hear of them.
    slow.image.run_one();
    CHECK(slow.image.reads == 2);
    slow.image.run();
    CHECK(quick.disk->save() == slow.disk->save());
    CHECK(read_blocks(slow, 2, 1) == patterns(7, 2));
}

TEST_CASE("a write that was handed over before a reset still reaches the image, before anything later") {
    Rig r;
    r.lba28(300, 1);
    r.command(0x30);
    r.send(Rig::pattern(300));
    for (int i = 0; i < 3; ++i) {
        r.channel.write_control(4);
        r.channel.write_control(0);
        r.lba28(300, 1);
        r.command(0x20);
    }
    CHECK(read_blocks(r, 1, 1) == Rig::pattern(300));
}

TEST_CASE("a drive that goes away leaves its request a buffer") {
    FakeImage* image = nullptr;
    auto r = std::make_unique<Rig>();
    image = &r->image;
    r->lba28(0, 256);
    r->command(0x20);
    REQUIRE(image->pending() == 1);
    r->disk.reset();
    image->run();
}

TEST_CASE("a transfer continues from a saved state, wherever it was interrupted") {
    Rig a;
    a.mark(20, 6);
    const int moment = GENERATE(0, 1, 2, 3);
    a.lba28(20, 6);
    a.command(0x20);
    if (moment >= 1) a.image.run();  // answered, not yet due
    if (moment >= 2) a.settle();
    if (moment >= 3) a.bytes(512 + 100);
    const auto saved = a.disk->save();
    a.image.run();

    Rig b;
    b.mark(20, 6);
    b.lba28(20, 6);
    b.out(6, 0xe0);
    REQUIRE(b.disk->load(saved) == BP_OK);
    CHECK(b.disk->save() == saved);
    std::vector<u8> got;
    const unsigned skip = moment >= 3 ? 612 : 0;
    for (unsigned n = skip / 512 * 512; n < 6 * 512; n += 512) {
        b.settle();
        CHECK(b.in(7) == 0x58);
        const auto part = b.bytes(n == 512 && skip ? 412 : 512);
        got.insert(got.end(), part.begin(), part.end());
    }
    const auto all = patterns(20, 6);
    CHECK(got == std::vector<u8>(all.begin() + skip, all.end()));
    CHECK(b.in(7) == 0x50);
}

TEST_CASE("a saved state that contradicts itself is refused") {
    Rig a;
    a.lba28(20, 6);
    a.command(0x20);
    a.settle();
    const auto good = a.disk->save();
    const auto spoiled = [&](const std::string& field, u64 value) {
        auto state = good;
        auto& bytes = state.at(field);
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(value >> (8 * i));
        Rig b;
        return b.disk->load(state);
    };
    CHECK(spoiled("position", 0xffffffff) != BP_OK);
    CHECK(spoiled("end", 0x7fffffff) != BP_OK);
    CHECK(spoiled("filled", 1 << 30) != BP_OK);
    CHECK(spoiled("phase", 77) != BP_OK);
    CHECK(spoiled("work", 200) != BP_OK);
    CHECK(spoiled("block", 0) != BP_OK);
    CHECK(spoiled("multiple", 3) != BP_OK);
    CHECK(spoiled("lba", ~0ull) != BP_OK);
    CHECK(spoiled("left", 0xffffffff) != BP_OK);
    CHECK(spoiled("self_tests", 22) != BP_OK);
    CHECK(spoiled("io_waiting", 1) != BP_OK);
    CHECK(spoiled("position", 100) == BP_OK);
}

TEST_CASE("random accesses neither crash nor hang the drive") {
    Rig r(5000, {}, true);
    std::mt19937 random(2010);
    const u8 commands[] = {0x20, 0x24, 0x25, 0x27, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0x90, 0xb0, 0xc4, 0xc5,
                           0xc6, 0xc8, 0xca, 0xe7, 0xec, 0xef, 0xf8, 0x08, 0x10, 0xe5, 0x00, 0x82, 0xd0, 0xea};
    r.image.bad = {40, 41, 300};
    for (unsigned i = 0; i < 1500000; ++i) {
        const u32 value = static_cast<u32>(random());
        switch (random() % 16) {
            case 0:
            case 1: r.command(commands[value % sizeof commands]); break;
            case 2: r.command(value & 0xff); break;
            case 3:
            case 4:
            case 5: r.channel.write(value % 8, 1u << (value >> 8 & 1), value >> 16); break;
            case 6: r.channel.read(value % 7, 1u << (value >> 8 & 1)); break;
            case 7:
            case 8:
                for (u32 n = value % 600; n; --n) r.channel.read(0, 2 << (n & 1));
                break;
            case 9:
                for (u32 n = value % 600; n; --n) r.channel.write(0, 2 << (n & 1), value);
                break;
            case 10: r.image.run(); break;
            case 11:
                if (r.image.pending()) r.image.run_one();
                if (r.slave_image.pending()) r.slave_image.run_one();
                break;
            case 12: (value & 1 ? r.disk : r.slave)->advance(value % 200000); break;
            case 13:
                if (value % 8 == 0) r.channel.write_control(value >> 8 & 7);
                if (value % 64 == 1) r.system_reset();
                if (value % 32 == 2) r.image.refuse = !r.image.refuse;
                break;
            case 14:
                r.memory.resize(value % 8192);
                r.pump();
                r.memory.clear();
                break;
            case 15:
                // Plausible addresses, so that transfers happen at all.
                r.lba28(value % 5200, value >> 16 & 0x1f);
                r.started = value & 0x8000;
                break;
        }
    }
    r.system_reset();
    r.image.refuse = false;
    r.image.bad.clear();
    r.settle();
    CHECK(r.identify()[0] == 0x0040);
    r.mark(10, 1);
    r.lba28(10, 1);
    r.command(0x20);
    CHECK(read_blocks(r, 1, 1) == patterns(10, 1));
}
