// Thousands of damaged snapshots: each is refused with a text, or read and as good as one that was written.
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>

#include "kernel/state/diff.hpp"
#include "kernel/state/test_parts.hpp"
#include "kernel/state/testing.hpp"
#include "kernel/state/text.hpp"

using namespace backplane;
using namespace backplane::kernel;
using namespace backplane::kernel::testing;

namespace {

// BACKPLANE_RANDOM_CASES sets how many.
std::size_t cases() {
    const char* text = std::getenv("BACKPLANE_RANDOM_CASES");
    return text ? static_cast<std::size_t>(std::atoll(text)) : 6000;
}

struct Random {
    std::mt19937_64 engine{20120};
    u64 operator()(u64 below) { return engine() % below; }
    u64 number(u64 old) {
        switch (operator()(10)) {
            case 0: return 0;
            case 1: return old + 1;
            case 2: return old - 1;
            case 3: return old ^ u64 { 1 } << operator()(64);
            case 4: return ~u64{0};
            case 5: return 0x7fffffff;
            case 6: return u64{1} << operator()(64);
            case 7: return old * 2;
            case 8: return operator()(16);
            default: return engine();
        }
    }
};

void set_number(std::string& content, const Spot& spot, Random& random) {
    u64 old = 0;
    for (std::size_t i = spot.size; i-- > 0;) old = old << 8 | static_cast<u8>(content[spot.offset + i]);
    const u64 value = random.number(old);
    for (std::size_t i = 0; i < spot.size; ++i) content[spot.offset + i] = static_cast<char>(value >> 8 * i & 0xff);
}

// Text or raw bytes: another byte, another length (with the count before it made to fit, or not), another one's text.
void change_text(Parts& parts, const Spots& spots, const Spot& spot, Random& random) {
    std::string& content = parts.list[spot.part].content;
    const auto any_byte = [&] {
        return static_cast<char>(random(3) ? "\xff\0\n\x80\xed\xa0 A"[random(8)] : random(256));
    };
    std::string text = content.substr(spot.offset, spot.size);
    const Spot& other = spots.list[random(spots.list.size())];
    switch (random(5)) {
        case 0: text.resize(random(2) ? random(spot.size) : spot.size + random(300), any_byte()); break;
        case 1: text.clear(); break;
        case 2:
            if (other.text) text = parts.list[other.part].content.substr(other.offset, other.size);
            break;
        default: text[random(text.size())] = any_byte(); break;
    }
    content.replace(spot.offset, spot.size, text);
    if (spot.offset >= 4 && random(4)) format::set_u32(&content[spot.offset - 4], static_cast<u32>(text.size()));
}

void change_section(Parts& parts, Random& random) {
    Part& p = parts.list[random(parts.list.size())];
    Part& other = parts.list[random(parts.list.size())];
    switch (random(10)) {
        case 0: p.header.stored_size = random.number(p.header.stored_size), p.lie_about_size = true; break;
        case 1: p.header.raw_size = random.number(p.header.raw_size), p.lie_about_size = true; break;
        case 2: p.header.flags = static_cast<u32>(random(5)); break;
        case 3: p.header.version = static_cast<u32>(random.number(1)); break;
        case 4:
            p.header.name = random(2) ? other.header.name : std::string(random(17), static_cast<char>(random(256)));
            break;
        case 5: std::swap(p, other); break;
        case 6: p.content = other.content; break;
        case 7: parts.list.erase(parts.list.begin() + static_cast<std::ptrdiff_t>(random(parts.list.size()))); break;
        case 8: {
            const Part copy = p;
            parts.list.insert(parts.list.begin() + static_cast<std::ptrdiff_t>(random(parts.list.size() + 1)), copy);
            break;
        }
        default: {
            const std::size_t at = random(p.content.size() + 1), size = random(64);
            if (random(2))
                p.content.insert(at, other.content.substr(0, size));
            else
                p.content.erase(at, size);
        }
    }
    if (parts.list.empty() || random(8) == 0) parts.repair_end = false;
}

std::string mutated(const std::string& sound, const Parts& sound_parts, const Spots& spots, Random& random) {
    if (random(8) == 0) {
        // Without any regard to checksums.
        std::string bytes = sound;
        for (u64 n = random(3) + 1; n; --n) bytes[random(bytes.size())] = static_cast<char>(random(256));
        if (random(4) == 0) bytes.resize(random(bytes.size()));
        return bytes;
    }
    Parts parts = sound_parts;
    if (random(4) == 0) {
        for (u64 n = random(2) + 1; n && !parts.list.empty(); --n) change_section(parts, random);
        return parts.bytes();
    }
    // The later spots first, so that offsets stay right.
    std::vector<std::size_t> chosen;
    for (u64 n = random(3) + 1; n; --n) chosen.push_back(random(spots.list.size()));
    std::sort(chosen.rbegin(), chosen.rend());
    for (const std::size_t i : chosen) {
        const Spot& spot = spots.list[i];
        if (spot.text)
            change_text(parts, spots, spot, random);
        else
            set_number(parts.list[spot.part].content, spot, random);
    }
    return parts.bytes();
}

long resident_kib() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

}  // namespace

TEST_CASE("no single bit of a snapshot can change unnoticed") {
    const Folder folder;
    Sample(true).write(folder.file("a"));
    const std::string sound = read_bytes(folder.file("a"));
    for (std::size_t i = 0; i < sound.size(); ++i) {
        std::string bytes = sound;
        bytes[i] = static_cast<char>(bytes[i] ^ 1 << i % 8);
        const std::string error = error_of([&] { SnapshotFile(bytes, "x"); });
        INFO("offset " << i);
        REQUIRE(error.starts_with("x: "));
    }
}

TEST_CASE("a damaged snapshot is refused with a text or read, never worse") {
    const Folder folder;
    Sample sample(true);
    sample.snapshot.devices[1].cpu = {value("rip", BP_STATE_UNSIGNED, 8, std::string(8, '\xf0')),
                                      value("ymm[0]", BP_STATE_BYTES, 1, std::string(32, 'y'))};
    sample.write(folder.file("a"));
    const SnapshotFile original(folder.file("a"));
    const std::string sound = read_bytes(folder.file("a"));
    const Parts parts(sound);
    const Spots spots(parts);
    Random random;
    std::size_t refused = 0, read = 0;
    const long before = resident_kib();
    for (std::size_t n = 0; n < cases(); ++n) {
        const std::string bytes = mutated(sound, parts, spots, random);
        INFO("case " << n);
        try {
            const SnapshotFile file(bytes, "x");
            ++read;
            REQUIRE(file.snapshot().memory.size() == sample.snapshot.memory.size());
            // Only what a writer could have written is accepted, and what is accepted can be used.
            std::vector<std::string> memory;
            for (std::size_t i = 0; i < file.snapshot().memory.size(); ++i) {
                memory.emplace_back(file.snapshot().memory[i].size, 'x');
                file.load_memory(i, reinterpret_cast<u8*>(memory.back().data()));
            }
            if (read % 16 == 0) {
                write_snapshot(folder.file("b"), file.snapshot(),
                               [&](std::size_t i) { return reinterpret_cast<const u8*>(memory[i].data()); });
                REQUIRE(diff(file, SnapshotFile(folder.file("b"))).empty());
            }
            for (const Difference& d : diff(original, file, {.memory = true})) REQUIRE(is_plain_utf8(d.text()));
        } catch (const Error& e) {
            ++refused;
            REQUIRE(is_plain_utf8(e.what()));
            REQUIRE(std::string(e.what()).starts_with("x: "));
        }
    }
    // Both ends of the test are reached.
    CHECK(refused > cases() / 4);
    CHECK(read > cases() / 20);
    CHECK(resident_kib() - before < 600'000);
}
