// The qcow2 engine over a file in memory: power cuts, a full disk, hostile files, threads. What it has to agree on with
// other programs is tested in tests/system/images.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>
#include <thread>

#include "image/qcow2/check.hpp"
#include "image/qcow2/create.hpp"
#include "image/qcow2/test_memory.hpp"
#include "image/qcow2/volume.hpp"
#include "image/testkit.hpp"

using namespace backplane;
using namespace backplane::image;
using namespace backplane::image::qcow2;
using backplane::image::testing::Memory;
using backplane::image::testkit::rounds;

namespace {

constexpr u64 kDisk = 1 << 20;

CreateOptions small(unsigned bits = 12) {
    CreateOptions o;
    o.bytes = kDisk;
    o.cluster_bits = bits;
    return o;
}

std::unique_ptr<Volume> open(Storage& storage, bool read_only = false) {
    Volume::Options o;
    o.read_only = read_only;
    auto v = std::make_unique<Volume>(storage, o);
    const std::string error = v->open();
    INFO(error);
    REQUIRE(error.empty());
    return v;
}

std::vector<u8> filled(u64 length, u8 value) { return std::vector<u8>(length, value); }

std::vector<u8> contents(Volume& v) {
    std::vector<u8> out(v.bytes());
    REQUIRE(v.read(0, out) == 0);
    return out;
}

void require_clean(Storage& storage, bool leaks_allowed = false) {
    const CheckResult r = qcow2::check(storage, Repair::kNothing);
    INFO((r.messages.empty() ? std::string() : r.messages.front()));
    REQUIRE(r.corruptions == 0);
    if (!leaks_allowed) REQUIRE(r.leaks == 0);
}

// One random request; `shadow` is what the disk has to be.
void request(Volume& v, std::vector<u8>& shadow, std::mt19937& random) {
    const u64 sectors = shadow.size() / 512, first = random() % sectors;
    const u64 length = std::min<u64>(1 + random() % 24, sectors - first) * 512;
    const auto value = static_cast<u8>(1 + random() % 255);
    const auto begin = shadow.begin() + static_cast<std::ptrdiff_t>(first * 512);
    const u64 cluster = v.header().cluster_bytes();
    switch (random() % 8) {
        case 0:
            REQUIRE(v.write_zeroes(first * 512, length, random() & 1) == 0);
            std::fill_n(begin, length, u8{0});
            break;
        case 1: {
            const u64 at = first * 512 / cluster * cluster,
                      n = std::min<u64>(cluster * (1 + random() % 3), shadow.size() - at);
            REQUIRE(v.discard(at, n) == 0);
            std::fill_n(shadow.begin() + static_cast<std::ptrdiff_t>(at), n, u8{0});
            break;
        }
        default: REQUIRE(v.write(first * 512, filled(length, value)) == 0); std::fill_n(begin, length, value);
    }
}

}  // namespace

TEST_CASE("a new image is empty and has no errors, whatever its shape") {
    for (unsigned bits = kMinClusterBits; bits <= kMaxClusterBits; bits += 3)
        for (unsigned order = 0; order <= kMaxRefcountOrder; ++order) {
            CreateOptions o = small(bits);
            o.refcount_order = order;
            REQUIRE(qcow2::check(o).empty());
            Memory m;
            REQUIRE(qcow2::create(m, o) == 0);
            require_clean(m);
            auto v = open(m);
            CHECK(contents(*v) == filled(kDisk, 0));
            CHECK(v->write(kDisk - 700, filled(700, 7)) == 0);
            CHECK(v->close() == 0);
            require_clean(m);
        }
}

TEST_CASE("options that cannot be are refused with a reason") {
    CreateOptions o = small();
    o.cluster_bits = 8;
    CHECK_FALSE(qcow2::check(o).empty());
    o = small(9);
    o.bytes = u64{1} << 50;
    CHECK_FALSE(qcow2::check(o).empty());
    o = small();
    o.version = 2;
    o.refcount_order = 3;
    CHECK_FALSE(qcow2::check(o).empty());
    o = small();
    o.backing_file = std::string(2000, 'x');
    CHECK_FALSE(qcow2::check(o).empty());
}

TEST_CASE("after a power cut nothing flushed is lost and at most space leaks") {
    // Every prefix of what was written, and writes since the last flush in any selection, as a disk may have done them.
    std::mt19937 random(5);
    for (const bool lazy : {false, true})
        for (unsigned round = 0; round < rounds(2); ++round) {
            CreateOptions o = small(round % 2 ? 9 : 12);
            o.lazy_refcounts = lazy;
            Memory m;
            REQUIRE(qcow2::create(m, o) == 0);
            const std::vector<u8> start = m.data();
            m.logging = true;
            // What the disk was at each flush, and what may have been written to each sector since.
            struct Moment {
                std::size_t at;
                std::vector<u8> disk;
            };
            std::vector<Moment> flushed{{0, filled(kDisk, 0)}};
            std::vector<std::vector<u8>> later;  // the disk after every request since the beginning
            std::vector<std::size_t> when;
            {
                auto v = open(m);
                std::vector<u8> shadow = filled(kDisk, 0);
                for (unsigned i = 0; i < 60; ++i) {
                    if (random() % 6 == 0) {
                        REQUIRE(v->flush() == 0);
                        flushed.push_back({m.log.size(), shadow});
                    } else {
                        request(*v, shadow, random);
                    }
                    later.push_back(shadow);
                    when.push_back(m.log.size());
                }
            }
            for (std::size_t cut = 0; cut <= m.log.size(); ++cut) {
                std::size_t barrier = 0;
                for (std::size_t i = 0; i < cut; ++i)
                    if (m.log[i].flush) barrier = i;
                Memory after(start);
                const bool some = random() & 1;  // else the whole prefix
                for (std::size_t i = 0; i < cut; ++i) {
                    if (m.log[i].flush || (some && i > barrier && random() % 2)) continue;
                    Memory::place(after.data(), m.log[i].offset, m.log[i].data);
                }
                if (!lazy) require_clean(after, true);
                auto v = open(after);
                const std::vector<u8> now = contents(*v);
                const auto last =
                    std::find_if(flushed.rbegin(), flushed.rend(), [&](const Moment& f) { return f.at <= cut; });
                // A byte is what it was at the last flush, or what some request since has made of it.
                u64 wrong = 0;
                for (u64 p = 0; p < kDisk; p += 512) {
                    bool known = now[p] == last->disk[p];
                    for (std::size_t r = 0; r < later.size() && !known; ++r)
                        known = when[r] >= last->at && now[p] == later[r][p];
                    wrong += !known;
                }
                CHECK(wrong == 0);
                CHECK(v->close() == 0);
                v = nullptr;
                require_clean(after, true);
            }
        }
}

TEST_CASE("on a full disk requests fail and the image stays right") {
    std::mt19937 random(6);
    for (unsigned round = 0; round < rounds(150); ++round) {
        Memory m;
        CreateOptions o = small(round % 2 ? 9 : 12);
        o.lazy_refcounts = round % 3 == 0;
        REQUIRE(qcow2::create(m, o) == 0);
        std::vector<u8> shadow = filled(kDisk, 0);
        auto v = open(m);
        for (unsigned i = 0; i < 10; ++i) request(*v, shadow, random);
        REQUIRE(v->flush() == 0);
        m.writes_left = random() % 12;
        std::vector<bool> unknown(kDisk / 512);
        for (unsigned i = 0; i < 12; ++i) {
            const u64 first = random() % (kDisk / 512), n = std::min<u64>(1 + random() % 16, kDisk / 512 - first);
            const int error = v->write(first * 512, filled(n * 512, 99));
            for (u64 s = first; s < first + n; ++s) {
                unknown[s] = unknown[s] || error;
                if (!error) std::fill_n(shadow.begin() + static_cast<std::ptrdiff_t>(s * 512), 512, u8{99});
            }
            if (i % 4 == 0) static_cast<void>(v->flush());
        }
        m.writes_left.reset();  // room again: nothing that succeeded is lost
        CHECK(v->flush() == 0);
        const std::vector<u8> now = contents(*v);
        u64 wrong = 0;
        for (u64 s = 0; s < kDisk / 512; ++s) wrong += !unknown[s] && now[s * 512] != shadow[s * 512];
        CHECK(wrong == 0);
        CHECK(v->close() == 0);
        v = nullptr;
        require_clean(m, true);
    }
}

TEST_CASE("requests of several threads that meet in clusters do not disturb each other") {
    for (unsigned round = 0; round < rounds(2); ++round) {
        Memory m;
        REQUIRE(qcow2::create(m, small(16)) == 0);
        auto v = open(m);
        std::vector<std::thread> threads;
        std::vector<char> failed(4);
        for (unsigned t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                std::mt19937 random(round * 10 + t);
                for (unsigned i = 0; i < 400; ++i) {
                    const u64 sector = random() % (kDisk / 512 / 4) * 4 + t;
                    int error = 0;
                    if (random() % 20 == 0)
                        error = v->flush();
                    else
                        error = v->write(sector * 512, filled(512, static_cast<u8>(sector % 250 + 1)));
                    std::vector<u8> back(512);
                    if (!error) error = v->read(sector * 512, back);
                    if (error || (back[0] != 0 && back[0] != sector % 250 + 1)) failed[t] = 1;
                }
            });
        for (std::thread& t : threads) t.join();
        CHECK(failed == std::vector<char>(4, 0));
        const std::vector<u8> now = contents(*v);
        u64 wrong = 0;
        for (u64 s = 0; s < kDisk / 512; ++s) wrong += now[s * 512] != 0 && now[s * 512] != s % 250 + 1;
        CHECK(wrong == 0);
        CHECK(v->close() == 0);
        v = nullptr;
        require_clean(m);
    }
}

TEST_CASE("snapshots keep the disk and a machine's state") {
    Memory m;
    REQUIRE(qcow2::create(m, small()) == 0);
    auto v = open(m);
    std::string why;
    REQUIRE(v->write(0, filled(9000, 1)) == 0);
    REQUIRE(v->write_state(0, filled(20000, 42)) == 0);
    REQUIRE(v->create_snapshot("with state", 20000, 5, why) == 0);
    REQUIRE(v->write(4096, filled(9000, 2)) == 0);
    std::vector<u8> state(20000);
    REQUIRE(v->read_state(0, state) == 0);
    CHECK(state == filled(20000, 0));  // it went with the snapshot
    REQUIRE(v->apply_snapshot(0, why) == 0);
    REQUIRE(v->read_state(0, state) == 0);
    CHECK(state == filled(20000, 42));
    std::vector<u8> back(9000);
    REQUIRE(v->read(0, back) == 0);
    CHECK(back == filled(9000, 1));
    CHECK(v->snapshots()[0].state_bytes == 20000);
    CHECK(v->close() == 0);
    require_clean(m);
    v = open(m);
    REQUIRE(v->delete_snapshot(0, why) == 0);
    CHECK(v->close() == 0);
    require_clean(m);
}

TEST_CASE("counts that are too narrow for a snapshot are named, and nothing changes") {
    Memory m;
    CreateOptions o = small();
    o.refcount_order = 0;
    REQUIRE(qcow2::create(m, o) == 0);
    auto v = open(m);
    std::string why;
    REQUIRE(v->write(0, filled(9000, 1)) == 0);
    CHECK(v->create_snapshot("no", 0, 0, why) == ERANGE);
    CHECK(why.find("too narrow") != std::string::npos);
    CHECK(v->write(0, filled(9000, 2)) == 0);
    CHECK(v->close() == 0);
    require_clean(m);
}

TEST_CASE("an entry that points to metadata is not written through") {
    Memory m;
    REQUIRE(qcow2::create(m, small()) == 0);
    {
        auto v = open(m);
        REQUIRE(v->write(0, filled(4096, 1)) == 0);
        REQUIRE(v->close() == 0);
    }
    Header h;
    REQUIRE(h.parse(m.data(), m.data().size()).empty());
    const u64 table = be64(&m.data()[h.l1_offset]) & kOffsetMask;
    put64(&m.data()[table], h.l1_offset | kCopied);
    auto v = open(m);
    CHECK(v->write(0, filled(4096, 2)) == EIO);
    CHECK_FALSE(v->trouble().empty());
    CHECK(v->write(65536, filled(4096, 2)) == EIO);  // and nothing else either
    v = nullptr;
    Volume again(m, {});
    CHECK(again.open().find("corrupt") != std::string::npos);
    Volume::Options reading;
    reading.read_only = true;
    Volume still(m, reading);
    CHECK(still.open().empty());
}

TEST_CASE("a check finds what was broken, and repairs what can be") {
    const auto broken = [](auto change) {
        Memory m;
        REQUIRE(qcow2::create(m, small()) == 0);
        {
            auto v = open(m);
            REQUIRE(v->write(0, filled(40000, 1)) == 0);
            REQUIRE(v->close() == 0);
        }
        Header h;
        REQUIRE(h.parse(m.data(), m.data().size()).empty());
        const u64 block = be64(&m.data()[h.refcount_table_offset]);
        const u64 table = be64(&m.data()[h.l1_offset]) & kOffsetMask;
        change(m.data(), h, block, table);
        const CheckResult before = qcow2::check(m, Repair::kNothing);
        CHECK_FALSE(before.clean());
        const CheckResult after = qcow2::check(m, Repair::kAll);
        INFO((after.messages.empty() ? std::string() : after.messages.front()));
        CHECK(after.clean());
        require_clean(m);
        auto v = open(m);
        CHECK(v->write(100000, filled(5000, 3)) == 0);
        CHECK(v->close() == 0);
        require_clean(m);
        return before;
    };
    using Data = std::vector<u8>;
    CHECK(broken([](Data& d, Header&, u64 block, u64) { put16(&d[block + 2 * 200], 1); }).leaks == 1);
    CHECK(broken([](Data& d, Header&, u64 block, u64 table) {
              put16(&d[block + 2 * ((be64(&d[table]) & kOffsetMask) >> 12)], 0);
          }).corruptions >= 1);
    CHECK(broken([](Data& d, Header&, u64, u64 table) { put64(&d[table], be64(&d[table]) & ~kCopied); }).corruptions ==
          1);
    CHECK(broken([](Data& d, Header&, u64, u64 table) { put64(&d[table], 0x12345600 | kCopied); }).corruptions >= 1);
    CHECK(broken([](Data& d, Header& h, u64, u64) { put64(&d[h.l1_offset], 0x7000000 | kCopied); }).corruptions >= 1);
    CHECK(broken([](Data& d, Header& h, u64, u64) { put64(&d[h.refcount_table_offset], 0x7000000); }).corruptions >= 1);
    CHECK(broken([](Data& d, Header&, u64, u64 table) {
              put64(&d[table], kCompressed | u64{3} << 58 | 0x7000010);
          }).corruptions >= 1);
}

TEST_CASE("hostile files do no harm") {
    std::mt19937 random(77);
    std::vector<std::vector<u8>> seeds;
    for (const unsigned bits : {9u, 12u}) {
        Memory m;
        CreateOptions o = small(bits);
        o.backing_file = bits == 9 ? "" : "below.img";
        o.backing_format = "raw";
        REQUIRE(qcow2::create(m, o) == 0);
        {
            auto v = open(m);
            std::string why;
            REQUIRE(v->write(3000, filled(20000, 1)) == 0);
            REQUIRE(v->create_snapshot("one", 0, 0, why) == 0);
            REQUIRE(v->write(9000, filled(5000, 2)) == 0);
            REQUIRE(v->write_compressed(65536, filled(v->header().cluster_bytes(), 3)) == 0);
            REQUIRE(v->create_snapshot("two", 0, 0, why) == 0);
        }
        seeds.push_back(m.data());
    }
    u64 opened = 0;
    for (unsigned round = 0; round < rounds(3000); ++round) {
        std::vector<u8> data = seeds[round % seeds.size()];
        Header h;
        REQUIRE(h.parse(data, data.size()).empty());
        const u64 cluster = h.cluster_bytes();
        for (unsigned n = 1 + random() % 4; n > 0; --n) {
            u64 at = 0;
            switch (random() % 7) {
                case 0: at = random() % 120; break;
                case 1: at = h.l1_offset + random() % 16; break;
                case 2: at = h.refcount_table_offset + random() % 16; break;
                case 3: at = h.snapshots_offset + random() % 160; break;
                case 4:
                    at = (be64(&data[h.l1_offset]) & kOffsetMask) % (data.size() - cluster) + random() % cluster;
                    break;
                case 5: at = be64(&data[h.refcount_table_offset]) % (data.size() - cluster) + random() % cluster; break;
                default: at = random() % data.size();
            }
            if (at >= data.size()) continue;
            switch (random() % 4) {
                case 0: data[at] = static_cast<u8>(random()); break;
                case 1: data[at] ^= static_cast<u8>(1u << random() % 8); break;
                case 2: data[at] = 0xff; break;
                default:
                    if (at + 8 <= data.size())
                        put64(&data[at], (u64{random()} << random() % 33) / cluster * cluster | random() % 2 << 31);
            }
        }
        if (random() % 20 == 0) data.resize(random() % data.size());
        Memory m(data);
        m.limit = 8 << 20;
        const bool reading = random() % 3 == 0;
        {
            Volume::Options options;
            options.read_only = reading;
            Volume v(m, options);
            if (v.open().empty()) {
                ++opened;
                std::vector<u8> buffer(4096);
                std::string why;
                for (unsigned i = 0; i < 12; ++i) {
                    const u64 at = random() % std::max<u64>(1, std::min<u64>(v.bytes(), kDisk)) / 512 * 512;
                    switch (random() % 8) {
                        case 0:
                        case 1: static_cast<void>(v.write(at, buffer)); break;
                        case 2: static_cast<void>(v.discard(at, 65536)); break;
                        case 3: static_cast<void>(v.write_zeroes(at, 9000, true)); break;
                        case 4: static_cast<void>(v.flush()); break;
                        default: static_cast<void>(v.read(at, buffer)); break;
                    }
                }
                switch (random() % 6) {
                    case 0: static_cast<void>(v.create_snapshot("x", 0, 0, why)); break;
                    case 1: static_cast<void>(v.apply_snapshot(random() % 2, why)); break;
                    case 2: static_cast<void>(v.delete_snapshot(random() % 2, why)); break;
                    case 3: static_cast<void>(v.resize(random() % (2 * kDisk) / 512 * 512, why)); break;
                    default: break;
                }
            }
        }
        try {
            static_cast<void>(qcow2::check(m, random() & 1 ? Repair::kAll : Repair::kLeaks));
            static_cast<void>(qcow2::check(m, Repair::kNothing));
        } catch (const Error&) {}
    }
    CHECK(opened > 100);
}
