// Power cuts while an image is committed to its backing file, or gets another one: whenever it happens, the disk that
// the upper image shows is the same.
#include "image/test_power.hpp"

using namespace backplane;
using namespace backplane::image;
using namespace backplane::image::testkit;

namespace {

constexpr u64 kDisk = 128 << 10;
// So long that it reaches over sectors of the header.
const std::string kFirst = "first-" + std::string(150, 'a'), kSecond = "second-" + std::string(200, 'b');

void make(Disks& disks, const std::string& name, u64 bytes, unsigned bits, const std::string& below,
          const std::string& below_format, bool lazy = false) {
    qcow2::CreateOptions o;
    o.bytes = bytes;
    o.cluster_bits = bits;
    o.lazy_refcounts = lazy;
    o.backing_file = below;
    o.backing_format = below_format;
    const auto storage = disks.storage(name);
    REQUIRE(qcow2::create(*storage, o) == 0);
}

void scatter(Image& image, std::mt19937& random, unsigned pieces) {
    for (unsigned i = 0; i < pieces; ++i) {
        const u64 at = random() % (image.bytes() / kSector) * kSector;
        const u64 n = std::min<u64>((1 + random() % 20) * kSector, image.bytes() - at);
        if (random() % 5)
            REQUIRE(image.write(at, filled(n, random())) == 0);
        else
            REQUIRE(image.write_zeroes(at, n, true) == 0);
    }
}

// Every moment of what was recorded, with and without losses.
void cut_everywhere(Recorder& recorder, const std::vector<u8>& expected, std::mt19937& random, QemuCheck& qemu,
                    bool below_is_qcow2, unsigned losses) {
    for (std::size_t at = 0; at <= recorder.now(); ++at)
        for (unsigned n = 0; n <= losses; ++n) {
            std::mt19937* const lost = n ? &random : nullptr;
            Disks after;
            for (auto& [name, bytes] : recorder.after(at, lost)) after[name].bytes = bytes;
            std::string wrong = wrong_after_cut(after, "top", qemu);
            if (wrong.empty() && below_is_qcow2) wrong = wrong_after_cut(after, kFirst, qemu);
            INFO("after " << at << " of " << recorder.now() << (lost ? " with losses" : "") << ": " << wrong);
            REQUIRE(wrong.empty());
            REQUIRE(read_all(*open(after.on("top", "qcow2"))) == expected);
        }
}

}  // namespace

TEST_CASE("whenever the power goes during a commit, the disk is the same") {
    std::mt19937 random(21);
    QemuCheck qemu(rounds(1) > 1 ? 1 : 25);
    // With qemu-img at every cut a round takes a minute.
    for (unsigned round = 0; round < std::min(rounds(1), 3u); ++round)
        for (const std::string& format : {std::string("raw"), std::string("qcow2")})
            for (const bool lazy : {false, true}) {
                Disks disks;
                // The lower disk is the shorter one.
                if (format == "raw")
                    disks[kFirst].bytes = filled(kDisk / 2, random());
                else
                    make(disks, kFirst, kDisk / 2, 9, "", "", lazy);
                make(disks, "top", kDisk, 12, kFirst, format, lazy);
                scatter(*open(disks.on(kFirst, format)), random, 10);
                scatter(*open(disks.on("top", "qcow2")), random, 20);
                const auto expected = read_all(*open(disks.on("top", "qcow2")));
                Recorder recorder(disks);
                commit(*open(disks.on("top", "qcow2")));
                CHECK(recorder.now() > 10);
                cut_everywhere(recorder, expected, random, qemu, format == "qcow2", 1);
            }
}

TEST_CASE("whenever the power goes while the backing file is changed, the disk is the same") {
    std::mt19937 random(22);
    QemuCheck qemu(rounds(1) > 1 ? 1 : 100);
    for (unsigned round = 0; round < std::min(rounds(2), 4u); ++round)
        for (const unsigned bits : {9u, 12u, 16u})
            for (const std::string& next : {kSecond, std::string("short"), std::string()}) {
                if (bits == 9 && next == kSecond) continue;  // header and name do not fit into a cluster together
                const std::string first = bits == 9 ? "first" : kFirst;
                Disks disks;
                disks[first].bytes = filled(kDisk, 7);
                if (!next.empty()) disks[next].bytes = filled(kDisk, 7);
                make(disks, "top", kDisk, bits, first, "raw");
                scatter(*open(disks.on("top", "qcow2")), random, 5);
                const auto expected = read_all(*open(disks.on("top", "qcow2")));
                Recorder recorder(disks);
                {
                    const auto top = open(disks.on("top", "qcow2"));
                    if (next.empty())  // everything becomes its own
                        REQUIRE(top->write(0, expected) == 0);
                    REQUIRE(top->flush() == 0);
                    top->rename_backing(next, next.empty() ? "" : "raw");
                }
                CHECK(open(disks.on("top", "qcow2"))->info().backing_file == next);
                cut_everywhere(recorder, expected, random, qemu, false, 20);
            }
}
