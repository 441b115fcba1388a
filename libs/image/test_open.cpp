#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "image/testkit.hpp"

using namespace backplane;
using namespace backplane::image;
using namespace backplane::image::testkit;

namespace {

// What open() says, in one text: messages and, in the end, the error.
struct Attempt {
    std::unique_ptr<Image> image;
    std::string log, error;
    Fault fault{};
    explicit Attempt(OpenOptions o) {
        o.log = [this](Level level, const std::string& text) {
            log += (level == Level::kError ? "error: " : level == Level::kWarn ? "warning: " : "") + text + "\n";
        };
        try {
            image = open(o);
        } catch (const Error& e) {
            error = e.what();
            fault = e.fault();
        }
    }
};
OpenOptions at(const std::string& path, const std::string& format = "auto") {
    OpenOptions o;
    o.path = path;
    o.format = format;
    return o;
}
bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Mark {
    std::string format;
    u64 place;
    std::string bytes;
};
const std::vector<Mark> kMarks = {{"qcow", 0, std::string("QFI\xfb\0\0\0\1", 8)},
                                  {"qcow2", 0, std::string("QFI\xfb\0\0\0\3", 8)},
                                  {"vmdk", 0, "KDMV"},
                                  {"vmdk", 0, "COWD"},
                                  {"vmdk", 0, "# Disk DescriptorFile"},
                                  {"vdi", 64, "\x7f\x10\xda\xbe"},
                                  {"vpc", 0, "conectix"},
                                  {"vhdx", 0, "vhdxfile"},
                                  {"qed", 0, std::string("QED\0", 4)},
                                  {"parallels", 0, "WithoutFreeSpace"},
                                  {"bochs", 0, "Bochs Virtual HD Image"}};

std::vector<u8> with(const Mark& m, std::size_t size) {
    std::vector<u8> bytes(size);
    std::memcpy(&bytes[m.place], m.bytes.data(), m.bytes.size());
    return bytes;
}

}  // namespace

TEST_CASE("a known header decides if no format is given, and one that is not served is refused by name") {
    Folder f;
    for (const Mark& m : kMarks) {
        const std::string path = f.file("disk", with(m, 4096));
        if (find_driver(m.format)->open) continue;
        Attempt a(at(path));
        CHECK(a.fault == Fault::kUnsupported);
        CHECK(says(a.error, path));
        CHECK(says(a.error, m.format));
        Attempt given(at(path, m.format));
        CHECK(given.fault == Fault::kUnsupported);
        Attempt raw(at(path, "raw"));
        REQUIRE(raw.image);
        CHECK_FALSE(raw.image->info().probed);
    }
    Attempt raw(at(f.file("disk", 4096)));
    REQUIRE(raw.image);
    CHECK(raw.image->info().format == "raw");
    CHECK(raw.image->info().probed);
    Attempt unknown(at(f / "disk", "qcow3"));
    CHECK(unknown.fault == Fault::kInvalid);
    CHECK(says(unknown.error, "raw"));
    Attempt tiny(at(f.file("tiny", 3)));
    REQUIRE(tiny.image);
    CHECK(tiny.image->bytes() == 0);
}

TEST_CASE("a guessed raw image takes no write that would make it look like something else") {
    Folder f;
    for (const bool snapshot : {false, true})
        for (const Mark& m : kMarks) {
            const std::string path = f.file("disk", 8192);
            OpenOptions o = at(path);
            o.snapshot = snapshot;
            Attempt a(o);
            REQUIRE(a.image);
            const auto bytes = with(m, 1024);
            CHECK(a.image->write(0, bytes) == EPERM);
            CHECK(says(a.log, "format=raw"));
            CHECK(says(a.log, path));
            CHECK_FALSE(a.image->direct(Operation::kWrite, 0, 512).storage);
            std::vector<u8> back(1024);
            CHECK(a.image->read(0, back) == 0);
            CHECK(back == std::vector<u8>(1024));
            // In two steps it is the same.
            const auto half = std::span(bytes).subspan(m.place);
            if (m.format != "qed") CHECK(a.image->write(m.place, half.first(3)) == 0);  // its last byte is zero
            CHECK(a.image->write(m.place, half.first(m.bytes.size())) == EPERM);
            // Elsewhere it is data.
            CHECK(a.image->write(512, bytes) == 0);
            CHECK(a.image->write(0, std::vector<u8>(512, 0x55)) == 0);
            a.image.reset();
            Attempt given(at(path, "raw"));
            CHECK(given.image->write(0, bytes) == 0);
        }
}

TEST_CASE("a temporary layer keeps writes from the image and drops them") {
    Folder f;
    const auto old = filled(1 << 20, 1);
    const std::string path = f.file("disk", old);
    OpenOptions o = at(path, "raw");
    o.snapshot = true;
    std::vector<u8> expected = old;
    {
        Attempt a(o), second(o);  // readers do not collide
        REQUIRE(a.image);
        REQUIRE(second.image);
        CHECK(a.image->info().temporary);
        CHECK_FALSE(a.image->read_only());
        std::mt19937_64 random(2);
        for (int i = 0; i < 2000; ++i) {
            const u64 grain = random() % 4 ? 512 : 1;
            const u64 offset = random() % (expected.size() - 9000) / grain * grain,
                      length = (1 + random() % (8192 / grain)) * grain;
            std::vector<u8> data = filled(length, random());
            switch (random() % 8) {
                case 0:
                    data.assign(length, 0);
                    REQUIRE(a.image->write_zeroes(offset, length, random() & 1) == 0);
                    std::copy(data.begin(), data.end(), expected.begin() + static_cast<long>(offset));
                    break;
                case 1:
                case 2:
                case 3:
                    REQUIRE(a.image->write(offset, data) == 0);
                    std::copy(data.begin(), data.end(), expected.begin() + static_cast<long>(offset));
                    break;
                default:
                    REQUIRE(a.image->read(offset, data) == 0);
                    REQUIRE(std::equal(data.begin(), data.end(), expected.begin() + static_cast<long>(offset)));
            }
        }
        CHECK(f.contents("disk") == old);
        std::vector<u8> other(old.size());
        CHECK(second.image->read(0, other) == 0);
        CHECK(other == old);
        // Somebody else reads it, so it cannot be committed now.
        CHECK_THROWS_AS(commit(*a.image), Error);
        second.image.reset();
        commit(*a.image);
        CHECK(f.contents("disk") == expected);
        std::vector<u8> all(expected.size());
        CHECK(a.image->read(0, all) == 0);
        CHECK(all == expected);
        CHECK(a.image->write(0, std::vector<u8>(512, 9)) == 0);
    }
    CHECK(f.contents("disk") == expected);
}

TEST_CASE("a digest follows from the contents, not from where the holes are") {
    Folder f;
    std::vector<u8> bytes(300000 / 512 * 512);
    const auto some = filled(5000, 3);
    std::copy(some.begin(), some.end(), bytes.begin() + 100000);
    std::copy(some.begin(), some.begin() + 512, bytes.end() - 512);
    const std::string full = f.file("full", bytes), sparse = f.file("sparse", bytes.size());
    auto a = open(at(full, "raw")), b = open(at(sparse, "raw"));
    CHECK(digest(*a) != digest(*b));
    for (u64 i = 0; i < bytes.size(); i += 512)
        if (std::any_of(&bytes[i], &bytes[i] + 512, [](u8 v) { return v; }))
            REQUIRE(b->write(i, std::span(bytes).subspan(i, 512)) == 0);
    CHECK(digest(*a) == digest(*b));
    auto disk = std::make_shared<MemoryStorage::Disk>();
    disk->bytes = bytes;
    CHECK(digest(*open(on(disk, "raw"))) == digest(*a));
    REQUIRE(a->write(299008, std::vector<u8>(1, 1)) == 0);
    CHECK(digest(*a) != digest(*b));
}

TEST_CASE("extents of a raw image: data and holes") {
    Folder f;
    const std::string path = f.file("disk", 1 << 20);
    auto image = open(at(path, "raw"));
    REQUIRE(image->write(512 << 10, filled(65536, 1)) == 0);
    Extent e;
    REQUIRE(image->extent(0, 1 << 20, e) == 0);
    if (e.kind == Extent::Kind::kZero) {  // a file system that knows of holes
        CHECK(e.length == 512 << 10);
        REQUIRE(image->extent(e.length, (1 << 20) - e.length, e) == 0);
        CHECK(e.kind == Extent::Kind::kData);
        CHECK(e.length == 65536);
        CHECK(e.host_offset == u64{512 << 10});
        CHECK(image->discard(512 << 10, 65536) == 0);
        REQUIRE(image->extent(0, 1 << 20, e) == 0);
        CHECK(e.length == 1 << 20);
    }
    CHECK(image->extent(1 << 20, 1, e) == EINVAL);
    CHECK(image->write_zeroes(0, 4096, true) == 0);
    CHECK(image->write_zeroes(0, 4096, false) == 0);
}

TEST_CASE("discard may be switched off") {
    Folder f;
    const auto bytes = filled(65536, 4);
    OpenOptions o = at(f.file("disk", bytes), "raw");
    o.discard = false;
    auto image = open(o);
    CHECK(image->discard(0, 65536) == 0);
    CHECK(f.contents("disk") == bytes);
}

TEST_CASE("a disk of the format null-co needs no file: reads give zeros and writes are dropped") {
    Attempt a(at("/nonexistent/size=65536", "null-co"));
    REQUIRE(a.image);
    CHECK(a.image->bytes() == 65536);
    const std::vector<u8> ones(512, 1);
    std::vector<u8> back(512, 2);
    CHECK(a.image->write(512, ones) == 0);
    CHECK(a.image->read(512, back) == 0);
    CHECK(back == std::vector<u8>(512));
    for (const char* wrong : {"disk", "size=", "size=0", "size=513", "size=1G", "size=99999999999999999999"})
        CHECK(Attempt(at(wrong, "null-co")).fault == Fault::kInvalid);
}
