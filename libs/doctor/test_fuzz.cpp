// Hostile disks: whatever stands in the tables and boot sectors, the examination ends, and what it offers is
// consistent.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "doctor/testkit.hpp"

using namespace backplane::doctor;
using namespace backplane::doctor::test;

namespace {

// How many: a second's worth, or what the long run asks for.
int disks() {
    const char* text = std::getenv("BACKPLANE_RANDOM_CASES");
    return text ? std::atoi(text) : 400;
}

Disk rich() {
    Disk d = windows({255, 63}, {16, 63});
    d.entry(1, 63, 1000000, {255, 63});
    d.entry(2, 1200000, 3000000, {255, 63}, false, 0x0f);
    d.entry(3, 5000000, 100000, {240, 63}, false, 0x0c);
    d.entry(1, 63, 5000, {255, 63}, false, 7, 1200000, 1200000);
    d.entry(2, 10000, 20000, {255, 63}, false, 5, 1200000, 1200000);
    d.entry(1, 63, 6000, {255, 63}, false, 6, 1210000, 1210000);
    d.ntfs(63, 1000000, {16, 63}, 63);
    d.ntfs(1200063, 5000, {16, 63}, 63);
    Sector& f = d.content[5000000];
    f[0] = 0xeb, put(&f[0x0b], 512, 2), f[0x0d] = 8, put(&f[0x0e], 32, 2), f[0x10] = 2, f[0x15] = 0xf8;
    put(&f[0x18], 63, 2), put(&f[0x1a], 240, 2), put(&f[0x1c], 5000000, 4), put(&f[0x20], 100000, 4),
        put(&f[0x24], 100, 4);
    put(&f[0x32], 6, 2), Disk::sign(f);
    Sector& g = d.content[1];
    Disk::text(g, 0, "EFI PART");
    put(&g[12], 92, 4), put(&g[72], 2, 8), put(&g[80], 128, 4), put(&g[84], 128, 4);
    return d;
}

}  // namespace

TEST_CASE("mutated disks are examined to the end") {
    std::mt19937_64 random(586175);
    const auto pick = [&](std::uint64_t n) { return random() % n; };
    const std::uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xee, 0x05, 0x0f, 63, 16};
    for (int n = 0; n < disks(); ++n) {
        Disk d = rich();
        if (pick(4) == 0) d.sectors = 1 + pick(6000000);
        if (pick(8) == 0) d.sectors = pick(2) ? 1 : ~std::uint64_t{0};
        for (auto& [lba, sector] : d.content) {
            if (pick(3) == 0) continue;
            for (std::uint64_t changes = pick(8); changes-- > 0;) {
                // Where it hurts: the tables, the parameter block, the head of a GPT.
                const std::uint64_t where[] = {0x1be + pick(64), 0x0b + pick(0x50), pick(128), pick(512)};
                sector[where[pick(4)] % 512] =
                    pick(2) ? edges[pick(std::size(edges))] : static_cast<std::uint8_t>(random());
            }
        }
        const Subject s =
            d.subject({}, pick(2) ? backplane::geometry::Policy::kAuto : backplane::geometry::Policy::kQemu012);
        const Diagnosis x = diagnose(s);
        CHECK_FALSE(x.verdict.empty());
        CHECK_FALSE(report(s, x).empty());
        CHECK_FALSE(json_report(s, x).empty());
        for (const Fix f : {Fix::kBpb, Fix::kHidden, Fix::kTable})
            for (const Write& w : plan(x.layout, s.reader, {f}, {}, {255, 63}).writes) CHECK(w.lba < d.sectors);
    }
}

TEST_CASE("sectors of noise are examined to the end") {
    std::mt19937_64 random(586175);
    for (int n = 0; n < disks() / 4; ++n) {
        Disk d{1 + random() % 100000};
        for (const std::uint64_t lba : {std::uint64_t{0}, std::uint64_t{1}, random() % d.sectors}) {
            for (auto& b : d.content[lba]) b = static_cast<std::uint8_t>(random());
            Disk::sign(d.content[lba]);
        }
        CHECK_FALSE(diagnose(d.subject()).verdict.empty());
    }
}
