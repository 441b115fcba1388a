// Power cuts under a raw image: what was flushed reads back, and every other sector is old or new.
#include <cstring>

#include "image/test_power.hpp"

using namespace backplane;
using namespace backplane::image;
using namespace backplane::image::testkit;

TEST_CASE("whenever the power goes, a raw image has what was flushed, and every other sector is old or new") {
    using Bytes = std::vector<u8>;
    constexpr u64 kDisk = 128 << 10;
    std::mt19937 random(31);
    for (unsigned round = 0; round < rounds(20); ++round) {
        Disks disks;
        disks["disk"].bytes = filled(kDisk, random());
        struct Moment {
            std::size_t begin, end;
            Bytes disk;
            bool durable;
        };
        Recorder recorder(disks);
        Bytes shadow = disks["disk"].bytes;
        std::vector<Moment> moments{{0, 0, shadow, true}};
        auto image = open(disks.on("disk", "raw"));
        for (unsigned i = 0; i < 60; ++i) {
            const std::size_t begin = recorder.now();
            const u64 first = random() % (shadow.size() / kSector) * kSector;
            const u64 length = std::min<u64>((1 + random() % 24) * kSector, shadow.size() - first);
            bool durable = false;
            switch (random() % 10) {
                case 0: REQUIRE(image->discard(first, length) == 0); break;
                case 1: REQUIRE(image->write_zeroes(first, length, random() & 1) == 0); break;
                case 2: {
                    const u64 bytes = kDisk / 2 + random() % (kDisk / kSector) * kSector;
                    image->resize(bytes);
                    shadow.resize(bytes);
                    durable = true;
                    break;
                }
                case 3:
                case 4:
                    REQUIRE(image->flush() == 0);
                    durable = true;
                    break;
                default: REQUIRE(image->write(first, filled(length, random())) == 0);
            }
            shadow.resize(image->bytes());
            REQUIRE(image->read(0, shadow) == 0);
            moments.push_back({begin, recorder.now(), shadow, durable});
        }
        image.reset();
        for (std::size_t at = 0; at <= recorder.now(); ++at)
            for (std::mt19937* lost : {static_cast<std::mt19937*>(nullptr), &random}) {
                Disks after;
                for (auto& [name, bytes] : recorder.after(at, lost)) after[name].bytes = bytes;
                const Bytes now = read_all(*open(after.on("disk", "raw")));
                const auto last = std::find_if(moments.rbegin(), moments.rend(),
                                               [at](const Moment& m) { return m.durable && m.end <= at; });
                std::vector<const Bytes*> possible;
                for (auto m = last.base() - 1; m != moments.end() && (m->begin < at || m->end <= at); ++m)
                    possible.push_back(&m->disk);
                INFO("round " << round << ", after " << at << " of " << recorder.now() << (lost ? " with losses" : ""));
                CHECK(std::any_of(possible.begin(), possible.end(),
                                  [&](const Bytes* b) { return b->size() == now.size(); }));
                u64 wrong = 0;
                for (u64 p = 0; p < now.size(); p += kSector) {
                    bool known = false;
                    for (const Bytes* b : possible)
                        known = known || (p + kSector <= b->size() && std::memcmp(&now[p], &(*b)[p], kSector) == 0);
                    wrong += !known;
                }
                CHECK(wrong == 0);
            }
    }
}
