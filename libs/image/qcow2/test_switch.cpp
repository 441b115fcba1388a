// Operations on snapshots that fail halfway: the image is as it was, goes on, and leaks nothing.
#include <catch2/catch.hpp>
#include <random>

#include "image/qcow2/check.hpp"
#include "image/qcow2/create.hpp"
#include "image/qcow2/test_memory.hpp"
#include "image/qcow2/volume.hpp"
#include "image/testkit.hpp"

using namespace backplane;
using namespace backplane::image;
using namespace backplane::image::qcow2;
using backplane::image::testing::Memory;

namespace {

std::vector<u8> contents(Volume& v) {
    std::vector<u8> out(v.bytes());
    REQUIRE(v.read(0, out) == 0);
    return out;
}

std::vector<u8> contents_of(Memory& m, const std::string& snapshot) {
    Volume::Options o;
    o.read_only = true;
    o.inside = snapshot;
    Volume v(m, o);
    REQUIRE(v.open().empty());
    return contents(v);
}

void scatter(Volume& v, std::mt19937& random) {
    for (unsigned i = 0; i < 12; ++i) {
        const u64 at = random() % (v.bytes() / 512) * 512;
        const std::vector<u8> data(std::min<u64>((1 + random() % 24) * 512, v.bytes() - at), static_cast<u8>(random()));
        REQUIRE(v.write(at, data) == 0);
    }
}

}  // namespace

TEST_CASE("an operation on a snapshot that fails on a full disk changes nothing, and can be made again") {
    std::mt19937 random(8);
    unsigned failures = 0;
    for (unsigned round = 0; round < testkit::rounds(60); ++round)
        for (const unsigned what : {0u, 1u, 2u}) {
            Memory m;
            CreateOptions o;
            o.bytes = 256 << 10;
            o.cluster_bits = round % 2 ? 9 : 12;
            o.lazy_refcounts = round % 3 == 0;
            REQUIRE(qcow2::create(m, o) == 0);
            Volume v(m, {});
            REQUIRE(v.open().empty());
            std::string why;
            scatter(v, random);
            const auto before = contents(v);
            REQUIRE(v.create_snapshot("one", 0, 0, why) == 0);
            scatter(v, random);
            const auto now = contents(v);
            const auto operate = [&] {
                return what == 0   ? v.create_snapshot("two", 0, 0, why)
                       : what == 1 ? v.apply_snapshot(0, why)
                                   : v.delete_snapshot(0, why);
            };
            REQUIRE(v.flush() == 0);
            m.writes_left = random() % 14;
            const int error = operate();
            m.writes_left.reset();
            if (error) {
                ++failures;
                CHECK(error == ENOSPC);
                CHECK(contents(v) == now);
                REQUIRE(v.snapshots().size() == 1);
                if (!v.trouble().empty()) continue;  // not even the header could be written
                const int second = operate();
                INFO("round " << round << ", operation " << what << ": " << v.trouble());
                CHECK(second == 0);
            }
            CHECK(contents(v) == (what == 1 ? before : now));
            scatter(v, random);
            const auto later = contents(v);
            REQUIRE(v.close() == 0);
            if (what != 2) CHECK(contents_of(m, "one") == before);
            if (what == 0) CHECK(contents_of(m, "two") == now);
            const CheckResult r = qcow2::check(m, Repair::kNothing);
            INFO((r.messages.empty() ? std::string() : r.messages.front()));
            CHECK(r.clean());
            Volume again(m, {});
            REQUIRE(again.open().empty());
            CHECK(contents(again) == later);
        }
    CHECK(failures > 30);
}

TEST_CASE("an operation on a snapshot is complete when it returns: nothing leaks if nobody closes the image") {
    std::mt19937 random(9);
    Memory m;
    CreateOptions o;
    o.bytes = 1 << 20;
    o.cluster_bits = 9;  // tables of many clusters
    REQUIRE(qcow2::create(m, o) == 0);
    Volume v(m, {});
    REQUIRE(v.open().empty());
    std::string why;
    const auto clean = [&] {
        Memory copy(m.data());
        const CheckResult r = qcow2::check(copy, Repair::kNothing);
        INFO((r.messages.empty() ? std::string() : r.messages.front()));
        CHECK(r.clean());
    };
    for (unsigned i = 0; i < 3; ++i) {
        scatter(v, random);
        REQUIRE(v.create_snapshot("s" + std::to_string(i), 0, 0, why) == 0);
        clean();
    }
    scatter(v, random);
    REQUIRE(v.apply_snapshot(1, why) == 0);
    clean();
    scatter(v, random);
    while (!v.snapshots().empty()) {
        REQUIRE(v.delete_snapshot(0, why) == 0);
        clean();
    }
}
