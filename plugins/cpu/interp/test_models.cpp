// CPUID of the models as a guest reads it, all leaves.
#include <cstddef>
#include <map>

#include "test_guest_machine.hpp"
#include "test_system_host.hpp"

using namespace backplane::interp;
using namespace backplane::interp::guest_test;

namespace {

using Registers = std::array<u32, 4>;
using Leaves = std::map<std::pair<u32, u32>, Registers>;

u32 hex(const std::string& text) { return static_cast<u32>(std::stoul(text, nullptr, 16)); }

// "LEAF PART: EAX EBX ECX EDX", one line each.
Leaves leaves_of(const std::string& text) {
    Leaves all;
    for (const std::string& line : lines(text)) {
        std::istringstream in(line);
        std::string leaf, part, value;
        in >> leaf >> part;
        Registers& r = all[{hex(leaf), hex(part)}];
        for (u32& v : r) {
            REQUIRE(in >> value);
            v = hex(value);
        }
    }
    return all;
}

Leaves shown_by(const std::string& model) {
    Machine m(model);
    REQUIRE(m.cpu.model != nullptr);
    m.run(contents(std::string(BACKPLANE_GUEST_IMAGES) + "/cpuid.bin"));
    REQUIRE(m.ended);
    return leaves_of(m.text);
}

std::string expected_folder() { return std::string(BACKPLANE_GUEST_SOURCES) + "/expected/cpuid/"; }

// Takes away what the list of known differences says of the model.
void leave_out(Leaves& leaves, const std::string& model) {
    static const std::vector<std::string> kRegisters{"EAX", "EBX", "ECX", "EDX"};
    for (const std::string& line : lines(contents(expected_folder() + "differences"))) {
        if (line.starts_with('#')) continue;
        std::istringstream in(line);
        std::string whose, leaf, name, bits, reason;
        REQUIRE(in >> whose >> leaf >> name >> bits >> reason);
        const auto found = std::find(kRegisters.begin(), kRegisters.end(), name);
        REQUIRE(found != kRegisters.end());
        if (whose != "*" && whose != model) continue;
        for (auto& [key, registers] : leaves) {
            if (leaf != "*" && hex(leaf) != key.first) continue;
            registers[static_cast<std::size_t>(found - kRegisters.begin())] &= ~hex(bits);
        }
    }
}

}  // namespace

TEST_CASE("a guest reads the same from CPUID as in QEMU, known differences apart") {
    const std::string model =
        GENERATE("486", "pentium", "pentium2", "pentium3", "athlon", "phenom", "core2duo", "coreduo", "n270", "kvm32");
    INFO(model);
    Leaves expected = leaves_of(contents(expected_folder() + model + ".txt"));
    leave_out(expected, model);
    const Leaves got = shown_by(model);
    REQUIRE(got.size() == expected.size());
    for (const auto& [key, registers] : expected) {
        INFO("leaf " << std::hex << key.first << ", part " << key.second);
        REQUIRE(got.contains(key));
        for (unsigned n = 0; n < 4; ++n) {
            INFO("register " << n << ": " << std::hex << got.at(key)[n] << " instead of " << registers[n]);
            CHECK(got.at(key)[n] == registers[n]);
        }
    }
}

TEST_CASE("CPUID of qemu64 is the specification's, leaf by leaf") {
    const Leaves expected{
        {{0, 0}, {4, 0x68747541, 0x444d4163, 0x69746e65}},
        {{1, 0}, {0x623, 0x800, 0x00802001, 0x078bfbfd}},
        {{2, 0}, {1, 0, 0, 0x002c307d}},
        {{3, 0}, {0, 0, 0, 0}},
        {{4, 0}, {0x121, 0x01c0003f, 0x3f, 1}},
        {{4, 1}, {0x122, 0x01c0003f, 0x3f, 1}},
        {{4, 2}, {0x143, 0x03c0003f, 0xfff, 1}},
        {{4, 3}, {0, 0, 0, 0}},
        {{4, 4}, {0, 0, 0, 0}},
        {{5, 0}, {0x121, 0x01c0003f, 0x3f, 1}},  // beyond the half: leaf 4
        {{0x80000000, 0}, {0x8000000a, 0x68747541, 0x444d4163, 0x69746e65}},
        {{0x80000001, 0}, {0x623, 0, 0x61, 0x2191abfd}},
        {{0x80000002, 0}, {0x554d4551, 0x72695620, 0x6c617574, 0x55504320}},
        {{0x80000003, 0}, {0x72657620, 0x6e6f6973, 0x312e3020, 0x00352e32}},
        {{0x80000004, 0}, {0, 0, 0, 0}},
        {{0x80000005, 0}, {0x01ff01ff, 0x01ff01ff, 0x40020140, 0x40020140}},
        {{0x80000006, 0}, {0, 0x42004200, 0x02008140, 0}},
        {{0x80000007, 0}, {0, 0, 0, 0}},
        {{0x80000008, 0}, {0x3028, 0, 0, 0}},
        {{0x80000009, 0}, {0, 0, 0, 0}},
        {{0x8000000a, 0}, {0, 0, 0, 0}},  // no SVM
        {{0x8000000b, 0}, {0x121, 0x01c0003f, 0x3f, 1}},
    };
    CHECK(shown_by("qemu64") == expected);
}

// QEMU 7.2 with -smp 4,sockets=1,cores=4 against -smp 1; processors in packages of their own change the APIC id only.
TEST_CASE("cores of one package show in CPUID as QEMU shows them") {
    struct Row {
        const char* model;
        u32 version_edx, extended_ecx, sizes;
    };
    const Row r = GENERATE(values<Row>({{"core2duo", 0x1fcbfbfd, 1, 0x2003},
                                        {"phenom", 0x178bfbfd, 0x67, 0x2003},
                                        {"coreduo", 0x1fc9fbfd, 0, 0x2003},
                                        {"pentium2", 0x1183fbfd, 0, 0}}));
    INFO(r.model);
    Bench b;
    Cpu& c = b.cpu;
    c.model = find_model(r.model);
    c.host.apic_base = [](void*) -> i64 { return 0xfee00900; };
    c.apic_id = 3;
    const auto leaf = [&c](u32 number, u32 part = 0) {
        c.r32(kEax) = number;
        c.r32(kEcx) = part;
        c.cpuid();
        return Registers{c.r32(kEax), c.r32(kEbx), c.r32(kEcx), c.r32(kEdx)};
    };
    CHECK(leaf(1)[1] == 0x03000800);
    CHECK((leaf(1)[3] & 1u << 28) == 0);
    c.processors = 4;
    CHECK(leaf(1)[1] == 0x03040800);
    // The oracle's host hides some features that are the models'.
    CHECK((leaf(1)[3] & 0x1183fbfd) == (r.version_edx & 0x1183fbfd));
    if (leaf(0)[0] >= 4) {
        CHECK(leaf(4, 0)[0] == 0x0c000121);
        CHECK(leaf(4, 2)[0] == 0x0c000143);
        CHECK(leaf(4, 3)[0] == 0);
    }
    if (r.sizes == 0) return;
    CHECK((leaf(0x80000001)[2] & 2u) == (r.extended_ecx & 2u));
    CHECK(leaf(0x80000008)[2] == r.sizes);
    c.processors = 3;
    CHECK(leaf(0x80000008)[2] == 0x2002);
}

TEST_CASE("models have the registers that systems look for on them") {
    struct Row {
        const char* model;
        u32 address;
        bool there;
        u64 value;
    };
    const Row r = GENERATE(values<Row>({
        {"kvm64", 0x1a0, true, 0x1801},
        {"core2duo", 0x1a0, true, 0x41801},
        {"n270", 0x1a0, true, 0x41801},
        {"pentium3", 0x1a0, false, 0},
        {"qemu64", 0x1a0, false, 0},
        {"phenom", 0xc001001f, true, 0},
        {"phenom", 0xc0010055, true, 0},
        {"qemu64", 0xc001001f, false, 0},
        {"core2duo", 0xc0010055, false, 0},
    }));
    INFO(r.model << " " << std::hex << r.address);
    Bench b;
    Cpu& c = b.cpu;
    c.model = find_model(r.model);
    c.r32(kEcx) = r.address;
    REQUIRE(b.outcome([&] { c.rdmsr(); }) == (r.there ? kFine : fault(kGp, 0)));
    if (!r.there) return;
    CHECK((static_cast<u64>(c.r32(kEdx)) << 32 | c.r32(kEax)) == r.value);
    c.r32(kEax) = c.r32(kEdx) = 0xffffffff;
    REQUIRE(b.outcome([&] { c.wrmsr(); }) == kFine);
    REQUIRE(b.outcome([&] { c.rdmsr(); }) == kFine);
    CHECK((static_cast<u64>(c.r32(kEdx)) << 32 | c.r32(kEax)) == r.value);
}

TEST_CASE("performance counters are those of the maker, hold what is written and are read by RDPMC") {
    struct Row {
        const char* model;
        u32 event, counter, rdpmc;
        bool there;
        u64 written, kept;
    };
    const Row r = GENERATE(values<Row>({
        {"pentium2", 0x186, 0xc1, 0, true, 0x80000000, 0xff80000000},
        {"core2duo", 0x187, 0xc2, 1, true, 0x12345678, 0x12345678},
        {"pentium3", 0x188, 0xc3, 2, false, 0, 0},
        {"qemu64", 0x186, 0xc1, 4, false, 0, 0},
        {"qemu64", 0xc0010000, 0xc0010004, 0, true, 0xffff123456789abc, 0x123456789abc},
        {"max", 0xc0010003, 0xc0010007, 3, true, 5, 5},
        {"max", 0xc0010200, 0xc0010201, 0x40000000, false, 0, 0},
        {"core2duo", 0xc0010000, 0xc0010004, 2, false, 0, 0},
        {"core2duo", 0x38d, 0x309, 0x40000000, false, 0, 0},  // fixed counters came with a version in leaf 0Ah
    }));
    INFO(r.model << ' ' << std::hex << r.counter);
    Bench b;
    Cpu& c = b.cpu;
    c.model = find_model(r.model);
    const Outcome expected = r.there ? kFine : fault(kGp, 0);
    const auto set = [&](u32 address, u64 value) {
        c.r32(kEcx) = address;
        c.r32(kEax) = static_cast<u32>(value);
        c.r32(kEdx) = static_cast<u32>(value >> 32);
        return b.outcome([&] { c.wrmsr(); });
    };
    const auto result = [&] { return static_cast<u64>(c.r32(kEdx)) << 32 | c.r32(kEax); };
    CHECK(set(r.event, 0x41003c) == expected);
    CHECK(set(r.counter, r.written) == expected);
    c.r32(kEcx) = r.counter;
    CHECK(b.outcome([&] { c.rdmsr(); }) == expected);
    if (r.there) CHECK(result() == r.kept);
    c.r32(kEcx) = r.rdpmc;
    CHECK(b.outcome([&] { c.rdpmc(); }) == expected);
    if (r.there) CHECK(result() == r.kept);
    // For programs only if CR4.PCE allows it.
    b.protect(3);
    c.r32(kEcx) = r.rdpmc;
    CHECK(b.outcome([&] { c.rdpmc(); }) == fault(kGp, 0));
    c.cr4 |= kCr4Pce;
    CHECK(b.outcome([&] { c.rdpmc(); }) == expected);
    // No model has architectural ones.
    c.cpl = 0;
    c.r32(kEax) = 0xa;
    c.cpuid();
    if (c.model->level >= 0xa) CHECK((c.r32(kEax) & 0xffu) == 0);
}

TEST_CASE("machine check registers are those of a processor that never sees an error") {
    for (const backplane::cpumodel::CpuModel& m : backplane::cpumodel::models()) {
        INFO(m.name);
        Bench b;
        Cpu& c = b.cpu;
        c.model = &m;
        if ((m.features_edx & kFeatMsr) == 0) continue;
        const bool there = (m.features_edx & kFeatMca) != 0;
        const auto access = [&](u32 address, u64 value) {
            c.r32(kEcx) = address;
            c.r32(kEax) = static_cast<u32>(value);
            c.r32(kEdx) = static_cast<u32>(value >> 32);
            if (b.outcome([&] { c.wrmsr(); }) != kFine) return false;
            c.r32(kEcx) = address;
            REQUIRE(b.outcome([&] { c.rdmsr(); }) == kFine);
            return (static_cast<u64>(c.r32(kEdx)) << 32 | c.r32(kEax)) == value;
        };
        c.r32(kEcx) = 0x179;
        CHECK(b.outcome([&] { c.rdmsr(); }) == (there ? kFine : fault(kGp, 0)));
        const u32 banks = there ? c.r32(kEax) & 0xffu : 0;
        CHECK(!access(0x179, 0x105));
        CHECK(access(0x17a, 4) == there);
        CHECK(!access(0x17a, 8));
        CHECK(access(0x17b, ~0ull) == there);
        for (u32 n = 0; n < banks; ++n) {
            CHECK(access(0x400 + 4 * n, ~0ull));
            CHECK(access(0x401 + 4 * n, 0));
            CHECK(!access(0x401 + 4 * n, 1ull << 63));
            CHECK(access(0x402 + 4 * n, 0));
            CHECK(!access(0x403 + 4 * n, 1));
        }
        CHECK(!access(0x400 + 4 * (banks == 0 ? 5 : banks), 0));
    }
}
