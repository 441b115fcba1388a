// Every VEX encoding against the host's own processor, in 64-bit mode: all opcodes of the three maps with all values of
// the prefix's fields, the undefined ones among them, then gathers, instructions without the prefix that leave the
// upper halves alone or came with BMI and ADX, and sequences.
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "block.hpp"
#include "soft_float.hpp"
#include "test_long_bench.hpp"
#include "test_sse_random.hpp"
#include "test_vex_host.hpp"

namespace backplane::interp::vex_test {
namespace {

using fpu_test::random_cases;
using sse_test::Random;
using sse_test::single;
using sse_test::value16;
using sse_test::wide;
using test::LongBench;
using test::LongState;
using test::LowMemory;

constexpr u32 kCode = 0x10000000, kData = 0x10010000, kDataSize = 0x2000;
// Operands lie in the last part of the data; behind it there is no page.
constexpr u32 kWindow = 512, kWindowAt = kDataSize - kWindow;

const CpuModel& vex_model() { return *find_model("max"); }

std::string hex(const u8* p, std::size_t size) {
    std::string text;
    char two[4];
    for (std::size_t n = size; n-- > 0;) {
        std::snprintf(two, sizeof two, "%02x", p[n]);
        text += two;
        if (n % 8 == 0 && n != 0) text += '_';
    }
    return text;
}

struct Encoding {
    std::vector<u8> bytes;
    u32 flags = kArith;  // the defined ones
    bool memory = false;
    bool store_to_rdi = false;
    unsigned indices = 0;  // a gather: bytes of an index; its register is index_register
    unsigned index_register = 0, scale = 0;
    unsigned mask_register = 0, element = 0;
};

class Comparison {
  public:
    Comparison() {
        bench_.cpu.model = &vex_model();
        bench_.more_cr4 = kCr4Osxsave;
        bench_.map(kCode, code_.data(), 0x1000, true);
        bench_.map(kData, data_.data(), kDataSize, true);
        bench_.cpu.sse.xcr0 = 7;
    }
    // How the last case ended; -1: without an exception.
    int ended = -1;

    bool run(const Encoding& e, Random& r, unsigned cases) {
        host_.set(e.bytes.data(), e.bytes.size());
        std::memset(code_.data(), 0xcc, 256);
        std::memcpy(code_.data(), e.bytes.data(), e.bytes.size());
        bench_.touched(kCode, 256);
        for (unsigned n = 0; n < cases; ++n) {
            if (!one(e, r)) return false;
            if (ended == kUd) break;
        }
        return true;
    }

  private:
    void random_state(const Encoding& e, Random& r) {
        mxcsr_ = static_cast<u32>(r.bits()) & (kMxcsrRounding | kMxcsrFlags);
        if (r.chance(25)) mxcsr_ |= kMxcsrDaz;
        if (r.chance(25)) mxcsr_ |= kMxcsrFtz;
        mxcsr_ |= r.chance(75) ? kMxcsrMasks : static_cast<u32>(r.bits()) & kMxcsrMasks;
        for (auto& v : before_.ymm) {
            value16(r, v);
            value16(r, v + 16);
        }
        // Equal operands, and halves that are masks.
        if (r.chance(20)) std::memcpy(before_.ymm[r.below(16)], before_.ymm[r.below(16)], 32);
        for (unsigned n = 0; n < kWindow; n += 16) value16(r, memory_ + n);
        for (u64& g : before_.gpr) {
            g = r.chance(40) ? r.below(70) : r.chance(50) ? r.bits() : wide(r);
            if (r.chance(30)) g = static_cast<u32>(single(r));
        }
        u32 offset = 32 * (1 + r.below(10));
        if (r.chance(50)) offset += r.below(64);
        if (r.chance(6)) offset = kWindow - r.below(40);
        before_.gpr[kEsi] = kData + kWindowAt + offset;
        before_.gpr[kEdi] = e.store_to_rdi ? before_.gpr[kEsi] : 16 * r.below(3);
        before_.gpr[kEsp] = before_.gpr[15] = 0;
        for (unsigned n = 0; e.indices != 0 && n < 32 / e.indices; ++n) {
            // Small, of both signs; rarely out of the page.
            const i64 index =
                static_cast<i64>(r.below(64) >> e.scale) - static_cast<i64>(32 >> e.scale) + (r.chance(3) ? 100000 : 0);
            std::memcpy(before_.ymm[e.index_register] + n * e.indices, &index, e.indices);
        }
        const u32 flags = (static_cast<u32>(r.bits()) & kArith) | kFixed1;
        before_.flags = flags | 0x200u;
        before_.mxcsr = mxcsr_;
    }

    bool one(const Encoding& e, Random& r) {
        random_state(e, r);
        Cpu& c = bench_.cpu;
        HostState h = before_;
        u8* window = data_.data() + kWindowAt;
        std::memcpy(window, memory_, kWindow);
        host_.run(h);
        u8 host_memory[kWindow];
        std::memcpy(host_memory, window, kWindow);

        std::memcpy(window, memory_, kWindow);
        for (unsigned n = 0; n < 16; ++n) std::memcpy(c.sse.ymm[n].bytes, before_.ymm[n], 32);
        set_mxcsr(&c, mxcsr_);
        LongState s;
        for (unsigned n = 0; n < 16; ++n) s.gpr[n] = before_.gpr[n];
        s.rip = kCode;
        s.rflags = before_.flags;
        bench_.run(s);

        ended = h.fault ? static_cast<int>(h.vector) : -1;
        const int vector = s.vector == kBp ? -1 : static_cast<int>(s.vector);
        std::string wrong;
        const auto differ = [&wrong](const std::string& what) { wrong += what + "; "; };
        if (vector != ended) differ("vector " + std::to_string(vector) + " host " + std::to_string(ended));
        if (mxcsr_value(&c) != h.mxcsr) {
            char text[80];
            std::snprintf(text, sizeof text, "mxcsr %04x host %04x", mxcsr_value(&c), h.mxcsr);
            differ(text);
        }
        // Behind a gather's fault only the signs of the mask count; whether it is all ones there depends on the maker.
        for (unsigned n = 0; h.fault && e.indices != 0 && n < 32; ++n) {
            const u8 kept = n % e.element == e.element - 1 ? 0x80 : 0;
            c.sse.ymm[e.mask_register].bytes[n] &= kept;
            h.ymm[e.mask_register][n] &= kept;
        }
        for (unsigned n = 0; n < 16; ++n) {
            if (std::memcmp(c.sse.ymm[n].bytes, h.ymm[n], 32) != 0)
                differ("ymm" + std::to_string(n) + ' ' + hex(c.sse.ymm[n].bytes, 32) + " host " + hex(h.ymm[n], 32) +
                       " before " + hex(before_.ymm[n], 32));
            if (n == kEsp || n == 15 || s.gpr[n] == h.gpr[n]) continue;
            differ("gpr" + std::to_string(n) + ' ' + hex(reinterpret_cast<const u8*>(&s.gpr[n]), 8) + " host " +
                   hex(reinterpret_cast<const u8*>(&h.gpr[n]), 8));
        }
        if (!h.fault && ((s.rflags ^ h.flags) & e.flags) != 0) {
            char text[80];
            std::snprintf(text, sizeof text, "flags %04x host %04x", static_cast<u32>(s.rflags) & kArith,
                          static_cast<u32>(h.flags) & kArith);
            differ(text);
        }
        if (std::memcmp(host_memory, window, kWindow) != 0) differ("memory");
        if (wrong.empty()) return true;
        std::string bytes;
        for (const u8 b : e.bytes) bytes += hex(&b, 1) + ' ';
        char text[40];
        std::snprintf(text, sizeof text, " mxcsr %04x: ", mxcsr_);
        const u64 at = before_.gpr[kEsi] - kData - kWindowAt;
        FAIL_CHECK(bytes << text << wrong << "memory " << hex(memory_ + at, at + 32 <= kWindow ? 32 : kWindow - at));
        return false;
    }

    HostInstruction host_;
    LongBench bench_;
    LowMemory code_{kCode, 0x1000, PROT_READ | PROT_WRITE};
    LowMemory data_{kData, kDataSize, PROT_READ | PROT_WRITE};
    HostState before_;
    u8 memory_[kWindow] = {};
    u32 mxcsr_ = 0;
};

// What processors may have behind a VEX prefix and the engine has not: mask registers and AMX, VNNI, IFMA, GFNI, wide
// AES and carry-less multiplication, hashes, FMA4.
bool foreign(unsigned map, unsigned prefix, u8 o, bool l) {
    if (map == 1) return (o >= 0x41 && o <= 0x4b) || (o >= 0x90 && o <= 0x93) || o == 0x98 || o == 0x99;
    if (map == 2) {
        if (prefix == 1 && o >= 0xdc && o <= 0xdf) return l;
        return o == 0x49 || o == 0x4b || (o >= 0x50 && o <= 0x53) || o == 0x5c || o == 0x5e || o == 0x6c || o == 0x72 ||
               o == 0xb0 || o == 0xb1 || o == 0xb4 || o == 0xb5 || (o >= 0xcb && o <= 0xcf) || o == 0xd2 || o == 0xd3 ||
               o == 0xda || (o >= 0xe0 && o <= 0xef);
    }
    if (prefix == 1 && o == 0x44) return l;
    return (o >= 0x30 && o <= 0x33) || o == 0x48 || o == 0x49 || (o >= 0x5c && o <= 0x5f) || (o >= 0x68 && o <= 0x6f) ||
           (o >= 0x78 && o <= 0x7f) || o == 0xce || o == 0xcf || o == 0xde;
}
bool has_immediate(unsigned map, u8 o) {
    return map == 3 || (map == 1 && ((o >= 0x70 && o <= 0x73) || o == 0xc2 || (o >= 0xc4 && o <= 0xc6)));
}
// With general registers: RSP and R15 are the test's own.
bool general(unsigned map, u8 o) {
    if (map == 1)
        return o == 0x2a || o == 0x2c || o == 0x2d || o == 0x6e || o == 0x7e || o == 0x50 || o == 0xd7 || o == 0xc4 ||
               o == 0xc5;
    if (map == 2) return o >= 0xf2;
    return (o >= 0x14 && o <= 0x17) || o == 0x20 || o == 0x22 || o == 0xf0;
}

class Encoder {
  public:
    explicit Encoder(Random& r) : r_(r) {}
    Encoding make(unsigned map, unsigned prefix, u8 opcode, bool l, bool w, bool memory) {
        Encoding e;
        e.memory = memory;
        const bool uses_general = general(map, opcode);
        const unsigned reg = number(uses_general), rm = memory ? unsigned{kEsi} : number(uses_general);
        const unsigned second = r_.chance(40) ? 0 : number(uses_general);
        const bool indexed = memory && r_.chance(30) && !(map == 2 && opcode >= 0x90 && opcode <= 0x93);
        prefix_bytes(e, map, prefix, l, w, reg, rm, 0, second);
        e.bytes.push_back(opcode);
        const bool zero = map == 1 && prefix == 0 && opcode == 0x77;
        if (!zero) {
            const u8 r_field = static_cast<u8>((reg & 7u) << 3);
            if (!memory) e.bytes.push_back(static_cast<u8>(0xc0u | r_field | (rm & 7u)));
            if (memory && !indexed) e.bytes.push_back(static_cast<u8>(r_field | (rm & 7u)));
            if (indexed) e.bytes.insert(e.bytes.end(), {static_cast<u8>(r_field | 4u), 0x3e});  // [rsi + rdi]
        }
        if (has_immediate(map, opcode)) e.bytes.push_back(static_cast<u8>(r_.bits()));
        if (map == 2 && opcode >= 0xf2 && opcode <= 0xf5 && prefix == 0) e.flags = kCf | kOf | kSf | kZf;
        if (map == 2 && opcode == 0xf7 && prefix == 0) e.flags = kCf | kOf | kZf;
        e.store_to_rdi = map == 1 && opcode == 0xf7;
        return e;
    }
    Encoding gather(u8 opcode, bool l, bool w) {
        Encoding e;
        e.memory = true;
        unsigned reg = r_.below(16), index = r_.below(16), mask = r_.below(16);
        if (!r_.chance(5)) {
            while (index == reg) index = r_.below(16);
            while (mask == reg || mask == index) mask = r_.below(16);
        }
        e.indices = (opcode & 1u) != 0 ? 8 : 4;
        e.index_register = index;
        e.scale = r_.below(4);
        e.mask_register = mask;
        e.element = w ? 8 : 4;
        prefix_bytes(e, 2, 1, l, w, reg, kEsi, index, mask);
        e.bytes.insert(e.bytes.end(), {opcode, static_cast<u8>((reg & 7u) << 3 | 4u),
                                       static_cast<u8>(e.scale << 6 | (index & 7u) << 3 | kEsi)});
        return e;
    }

  private:
    unsigned number(bool uses_general) {
        unsigned n = r_.below(16);
        while (uses_general && (n == kEsp || n == 15 || n == kEsi || n == kEdi)) n = r_.below(16);
        return n;
    }
    void prefix_bytes(Encoding& e, unsigned map, unsigned prefix, bool l, bool w, unsigned reg, unsigned rm,
                      unsigned index, unsigned second) {
        const u8 fields = static_cast<u8>((~second & 15u) << 3 | (l ? 4u : 0u) | prefix);
        if (map == 1 && !w && rm < 8 && r_.chance(70)) {
            e.bytes = {0xc5, static_cast<u8>(fields | (reg < 8 ? 0x80u : 0u))};
            return;
        }
        e.bytes = {0xc4,
                   static_cast<u8>((reg < 8 ? 0x80u : 0u) | (index < 8 ? 0x40u : 0u) | (rm < 8 ? 0x20u : 0u) | map),
                   static_cast<u8>(fields | (w ? 0x80u : 0u))};
    }
    Random& r_;
};

bool host_is_missing_something() {
    const std::string lacks = host_lacks();
    if (lacks.empty()) return false;
    WARN("not compared: this computer's processor lacks " << lacks);
    return true;
}
// Cases of one encoding; all tests of this file together make some 10^5.
unsigned cases_of_one() { return random_cases(4); }

}  // namespace

TEST_CASE("every VEX encoding gives the host's results, or is as undefined as there", "[vex]") {
    if (host_is_missing_something()) return;
    Comparison comparison;
    Random r(1);
    Encoder encoder(r);
    unsigned defined = 0, failed = 0;
    for (unsigned map = 1; map <= 3; ++map) {
        for (unsigned prefix = 0; prefix < 4; ++prefix) {
            for (unsigned opcode = 0; opcode < 256; ++opcode) {
                for (unsigned k = 0; k < 16 && failed < 20; ++k) {
                    const u8 o = static_cast<u8>(opcode);
                    const bool l = (k & 1u) != 0;
                    const bool w = (k & 2u) != 0;
                    if (foreign(map, prefix, o, l)) continue;
                    if (map == 3 && prefix == 1 && opcode < 2 && !w) continue;  // see README: VPERMQ, VPERMPD
                    const Encoding e = encoder.make(map, prefix, o, l, w, (k & 4u) != 0);
                    if (!comparison.run(e, r, cases_of_one())) ++failed;
                    if (comparison.ended != kUd) ++defined;
                }
            }
        }
    }
    CHECK(defined > 3000);
}

TEST_CASE("gathers give the host's results, faults in the middle included", "[vex]") {
    if (host_is_missing_something()) return;
    Comparison comparison;
    Random r(2);
    Encoder encoder(r);
    for (unsigned k = 0; k < 400; ++k) {
        const Encoding e = encoder.gather(static_cast<u8>(0x90 + k % 4), (k & 4u) != 0, (k & 8u) != 0);
        if (!comparison.run(e, r, 2 * cases_of_one())) return;
    }
    SUCCEED();
}

TEST_CASE("instructions without VEX leave the upper halves alone, and ADX and TZCNT give the host's results", "[vex]") {
    if (host_is_missing_something()) return;
    struct Row {
        std::vector<u8> bytes;
        u32 flags = kArith;
    };
    const std::vector<Row> rows{{{0x0f, 0x58, 0xc1}},
                                {{0x66, 0x0f, 0xef, 0xc1}},
                                {{0xf3, 0x0f, 0x10, 0xca}},
                                {{0xf3, 0x0f, 0x10, 0x0e}},
                                {{0x0f, 0x10, 0x06}},
                                {{0x0f, 0x28, 0xd9}},
                                {{0xf3, 0x0f, 0x7e, 0xd1}},
                                {{0x66, 0x0f, 0x38, 0xdc, 0xca}},
                                {{0x66, 0x0f, 0x3a, 0x0f, 0xca, 5}},
                                {{0x66, 0x0f, 0x70, 0xca, 0x1b}},
                                {{0xf2, 0x0f, 0x51, 0xca}},
                                {{0x66, 0x48, 0x0f, 0x6e, 0xc8}},
                                {{0xf3, 0x0f, 0xbc, 0xc1}, kCf | kZf},
                                {{0xf3, 0x48, 0x0f, 0xbc, 0xc1}, kCf | kZf},
                                {{0x66, 0xf3, 0x0f, 0xbc, 0xc1}, kCf | kZf},
                                {{0xf3, 0x0f, 0xbc, 0x0e}, kCf | kZf},
                                {{0x66, 0x0f, 0x38, 0xf6, 0xc1}},
                                {{0xf3, 0x0f, 0x38, 0xf6, 0xc1}},
                                {{0x66, 0x48, 0x0f, 0x38, 0xf6, 0xc1}},
                                {{0xf3, 0x48, 0x0f, 0x38, 0xf6, 0x06}}};
    Comparison comparison;
    Random r(3);
    for (const Row& row : rows) {
        Encoding e;
        e.bytes = row.bytes;
        e.flags = row.flags;
        comparison.run(e, r, 20 * cases_of_one());
    }
}

TEST_CASE("prefixes before VEX are undefined", "[vex]") {
    if (host_is_missing_something()) return;
    Comparison comparison;
    Random r(4);
    for (const u8 prefix : {0x66, 0xf2, 0xf3, 0xf0, 0x48, 0x2e, 0x65, 0x67}) {
        Encoding e;
        e.bytes = {prefix, 0xc5, 0xf4, 0x58, 0xc2};
        comparison.run(e, r, 1);
        CHECK((comparison.ended == kUd) == (prefix != 0x2e && prefix != 0x65 && prefix != 0x67));
    }
}

TEST_CASE("sequences of VEX instructions give the host's results", "[vex]") {
    if (host_is_missing_something()) return;
    Comparison comparison;
    Random r(5);
    Encoder encoder(r);
    std::vector<Encoding> good;
    while (good.size() < 300) {
        const unsigned map = 1 + r.below(3), prefix = r.below(4);
        const u8 opcode = static_cast<u8>(r.bits());
        const bool l = r.chance(50), w = r.chance(50);
        if (foreign(map, prefix, opcode, l) || (map == 1 && opcode == 0xae) || (map == 3 && opcode < 2 && !w)) continue;
        const Encoding e = encoder.make(map, prefix, opcode, l, w, r.chance(30));
        if (!comparison.run(e, r, 1)) return;
        if (comparison.ended != kUd && !e.store_to_rdi) good.push_back(e);
    }
    for (unsigned n = 0; n < 500; ++n) {
        Encoding all;
        for (unsigned k = 0; k < 8; ++k) {
            const Encoding& e = good[r.below(static_cast<unsigned>(good.size()))];
            all.bytes.insert(all.bytes.end(), e.bytes.begin(), e.bytes.end());
            all.flags &= e.flags;
        }
        if (!comparison.run(all, r, cases_of_one())) return;
    }
    SUCCEED();
}

// On hosts without FMA this is what guests get; it must not need such a host to be right.
TEST_CASE("multiply-add without the host's gives the host's results", "[vex]") {
    if (host_is_missing_something()) return;
    Random r(6);
    HostInstruction host;
    for (unsigned opcode = 0x96; opcode <= 0xbf; ++opcode) {
        if ((opcode & 15u) < 6) continue;
        for (const bool doubles : {false, true}) {
            const std::vector<u8> bytes{0xc4, 0xe2, static_cast<u8>(doubles ? 0xf1 : 0x71), static_cast<u8>(opcode),
                                        0xc2};
            host.set(bytes.data(), bytes.size());
            for (unsigned n = 0; n < random_cases(400); ++n) {
                HostState h;
                for (unsigned k = 0; k < 3; ++k) value16(r, h.ymm[k]);
                for (unsigned k = 0; doubles && k < 6; ++k) {
                    const u64 v = wide(r);
                    std::memcpy(h.ymm[k / 2] + 8 * (k % 2), &v, 8);
                }
                h.mxcsr = (static_cast<u32>(r.bits()) & (kMxcsrRounding | kMxcsrDaz | kMxcsrFtz)) | kMxcsrMasks;
                const HostState before = h;
                host.run(h);
                const bool scalar = (opcode & 15u) >= 8 && (opcode & 1u) != 0;
                u8 d[16];
                std::memcpy(d, before.ymm[0], 16);
                const u32 count = scalar ? 1 : doubles ? 2 : 4;
                const u32 flags = soft_fma(opcode, doubles, before.mxcsr, d, before.ymm[1], before.ymm[2], count);
                if (std::memcmp(d, h.ymm[0], 16) == 0 && flags == (h.mxcsr & kMxcsrFlags)) continue;
                FAIL_CHECK(std::hex << opcode << (doubles ? " doubles" : " singles") << " mxcsr " << before.mxcsr
                                    << ": " << hex(d, 16) << " host " << hex(h.ymm[0], 16) << " flags " << flags
                                    << " host " << h.mxcsr << " of " << hex(before.ymm[0], 16) << ' '
                                    << hex(before.ymm[1], 16) << ' ' << hex(before.ymm[2], 16));
                return;
            }
        }
    }
    SUCCEED();
}

}  // namespace backplane::interp::vex_test
