// The planar logic against a plain restatement of the data sheet, one bit at a time.
#include <catch2/catch.hpp>

#include <random>

#include "test_adapter.hpp"

using namespace backplane;
using namespace backplane::vga;

namespace {

struct Reference {
    u8 planes[4][0x10000] = {};
    u8 latch[4] = {};
    u32 map_mask = 15, set_reset = 0, enable = 0, compare = 0, rotate = 0, function = 0, read_map = 0, mode = 0,
        dont_care = 15, bit_mask = 255;
    bool read_compare = false;

    static bool bit(u32 value, u32 n) { return value >> n & 1; }

    void write(u32 at, u8 value) {
        for (u32 p = 0; p < 4; ++p) {
            if (!bit(map_mask, p)) continue;
            u8 result = 0;
            for (u32 b = 0; b < 8; ++b) {
                const bool turned = bit(value, (b + rotate) % 8), old = bit(latch[p], b);
                bool data = false, use_mask = bit(bit_mask, b);
                if (mode == 0) data = bit(enable, p) ? bit(set_reset, p) : turned;
                if (mode == 2) data = bit(value, p);
                if (mode == 3) data = bit(set_reset, p), use_mask = use_mask && turned;
                if (mode == 1) {
                    data = old;
                } else {
                    if (function == 1) data = data && old;
                    if (function == 2) data = data || old;
                    if (function == 3) data = data != old;
                    if (!use_mask) data = old;
                }
                result = static_cast<u8>(result | data << b);
            }
            planes[p][at] = result;
        }
    }
    u8 read(u32 at) {
        for (u32 p = 0; p < 4; ++p) latch[p] = planes[p][at];
        if (!read_compare) return latch[read_map];
        u8 result = 0;
        for (u32 b = 0; b < 8; ++b) {
            bool same = true;
            for (u32 p = 0; p < 4; ++p)
                if (bit(dont_care, p) && bit(latch[p], b) != bit(compare, p)) same = false;
            result = static_cast<u8>(result | same << b);
        }
        return result;
    }
};

}  // namespace

TEST_CASE("all write and read modes agree with the data sheet, bit by bit") {
    Adapter a;
    a.planar_mode();
    auto reference = std::make_unique<Reference>();
    Reference& r = *reference;
    std::mt19937 random(20100201);
    const auto pick = [&](u32 n) { return static_cast<u32>(random() % n); };
    for (int round = 0; round < 3000; ++round) {
        a.sequencer(2, r.map_mask = pick(16));
        a.graphics(0, r.set_reset = pick(16));
        a.graphics(1, r.enable = pick(3) ? 0 : pick(16));
        a.graphics(2, r.compare = pick(16));
        r.rotate = pick(3) ? 0 : pick(8), r.function = pick(4);
        a.graphics(3, r.rotate | r.function << 3);
        a.graphics(4, r.read_map = pick(4));
        r.mode = pick(4), r.read_compare = pick(2);
        a.graphics(5, r.mode | (r.read_compare ? 8u : 0u));
        a.graphics(7, r.dont_care = pick(16));
        a.graphics(8, r.bit_mask = pick(3) ? pick(256) : 255);
        for (int i = 0; i < 20; ++i) {
            const u32 at = pick(64) + (pick(2) ? 0xffc0 : 0);
            if (pick(2)) {
                REQUIRE(a.peek(0xa0000 + at) == r.read(at));
            } else {
                const u32 value = pick(256);
                a.poke(0xa0000 + at, value);
                r.write(at, static_cast<u8>(value));
            }
        }
    }
    for (u32 at = 0; at < 0x10000; ++at)
        for (u32 p = 0; p < 4; ++p)
            if (a.memory()[at * 4 + p] != r.planes[p][at]) FAIL("plane " << p << " differs at " << at);
}

TEST_CASE("wide accesses are those of their bytes") {
    for (const bool text : {false, true}) {
        Adapter a, b;
        if (text)
            a.text_mode(), b.text_mode();
        else
            a.packed_mode(), b.packed_mode();
        const u32 base = text ? 0xb8000 : 0xa0000;
        std::mt19937 random(7);
        for (int i = 0; i < 2000; ++i) {
            const u32 bytes = 1u << random() % 4, at = base + random() % 512;
            u64 value = random() | u64{random()} << 32;
            if (bytes < 8) value &= (u64{1} << (8 * bytes)) - 1;
            a.poke(at, value, bytes);
            for (u32 k = 0; k < bytes; ++k) b.poke(at + k, value >> (8 * k) & 0xff);
            u64 expected = 0;
            for (u32 k = 0; k < bytes; ++k) expected |= b.peek(at + k) << (8 * k);
            REQUIRE(a.peek(at, bytes) == expected);
        }
        CHECK(std::equal(a.memory(), a.memory() + 4096, b.memory()));
    }
}

TEST_CASE("text mode stores characters in plane 0 and attributes in plane 1") {
    Adapter a;
    a.text_mode();
    a.poke(0xb8000, 0x1f41, 2);
    a.poke(0xb8002, 'B');
    a.poke(0xb8003, 0x2e);
    CHECK(a.memory()[0] == 0x41);
    CHECK(a.memory()[1] == 0x1f);
    CHECK(a.memory()[4] == 0x42);
    CHECK(a.memory()[5] == 0x2e);
    CHECK(a.peek(0xb8000, 4) == 0x2e421f41);
    // A font is loaded into plane 2 with sequential addressing while the text stays.
    a.sequencer(2, 4), a.sequencer(4, 7), a.graphics(5, 0), a.graphics(6, 4);
    a.poke(0xa0000 + 0x41 * 32, 0x18);
    CHECK(a.memory()[0x41 * 32 * 4 + 2] == 0x18);
    CHECK(a.memory()[0] == 0x41);
    a.graphics(4, 2);
    CHECK(a.peek(0xa0000 + 0x41 * 32) == 0x18);
}

TEST_CASE("a read in text mode loads the latches that write mode 1 stores") {
    Adapter a;
    a.text_mode();
    a.poke(0xb8000, 0x1f41, 2);
    a.peek(0xb8000, 2);
    a.graphics(5, 0x11);
    a.poke(0xb8010, 0), a.poke(0xb8011, 0);
    a.graphics(5, 0x10);
    CHECK(a.peek(0xb8010, 2) == 0x1f41);
}

TEST_CASE("the memory map select places the window, and outside of it nothing answers") {
    Adapter a;
    a.planar_mode();
    struct Place {
        u32 map, first, last;
    };
    for (const Place p : {Place{0, 0xa0000, 0xbffff}, Place{1, 0xa0000, 0xaffff}, Place{2, 0xb0000, 0xb7fff},
                          Place{3, 0xb8000, 0xbffff}}) {
        a.graphics(6, 1 | p.map << 2);
        for (const u32 at : {0xa0000u, 0xaffffu, 0xb0000u, 0xb7fffu, 0xb8000u, 0xbffffu}) {
            a.poke(at, 0x5a);
            CHECK(a.peek(at) == (at >= p.first && at <= p.last ? 0x5a : 0xff));
        }
    }
    a.main(0x3c2, 0xe1);  // CPU access off
    a.poke(0xb8000, 0x11);
    CHECK(a.peek(0xb8000) == 0xff);
}

TEST_CASE("VBE banks move the window over all of the memory") {
    Adapter a;
    a.planar_mode();
    a.vbe(1, 640), a.vbe(2, 480), a.vbe(3, 8), a.vbe(4, 0x41);
    a.vbe(5, 3);
    a.poke(0xa0010, 0x77);
    CHECK(a.memory()[0x30010] == 0x77);
    CHECK(a.peek(0xa0010) == 0x77);
    a.vbe(5, 255);
    a.poke(0xaffff, 0x66);
    CHECK(a.memory()[0xffffff] == 0x66);
    CHECK(a.vbe(5) == 255);
    a.vbe(4, 0);
    CHECK(a.vbe(5) == 0);
}
