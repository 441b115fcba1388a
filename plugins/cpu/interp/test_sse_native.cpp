// Every encoding of the SSE family against the host's own processor, on random states and operands.
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "block.hpp"
#include "mmx_extensions.hpp"
#include "test_sse_host.hpp"
#include "test_sse_machine.hpp"
#include "test_sse_random.hpp"

namespace backplane::interp::sse_test {
namespace {

using fpu_test::random_cases;

constexpr u32 kOperand = 0x20000;
constexpr std::size_t kOperandSize = 64;

struct Encoding {
    std::vector<u8> bytes;
    bool memory = false;
    // With REX.W: the handler is called by itself, since the engine's decoder may not know of REX here.
    Handler wide = nullptr;
    Insn record{};
    bool free_flags = false;  // flags other than CF and ZF are undefined
    bool low_half = false;    // the upper half of the destination is undefined
};

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

class Comparison {
  public:
    void run(const Encoding& e, unsigned cases) {
        host_.set(e.bytes.data(), e.bytes.size());
        guest_.code(e.bytes.data(), e.bytes.size());
        u64 seed = 0;
        for (const u8 b : e.bytes) seed = seed * 257 + b;
        Random r(seed);
        for (unsigned n = 0; n < cases; ++n) {
            if (!one(e, r)) return;
        }
        SUCCEED();
    }

  private:
    bool one(const Encoding& e, Random& r) {
        Cpu& c = guest_.cpu;
        HostState h;
        u32 mxcsr = static_cast<u32>(r.bits()) & (kMxcsrRounding | kMxcsrFlags);
        if (r.chance(25)) mxcsr |= kMxcsrDaz;
        if (r.chance(25)) mxcsr |= kMxcsrFtz;
        mxcsr |= r.chance(75) ? kMxcsrMasks : static_cast<u32>(r.bits()) & kMxcsrMasks;
        for (unsigned n = 0; n < 8; ++n) value16(r, h.fx + 160 + 16 * n);
        if (r.chance(20)) std::memcpy(h.fx + 160 + 16 * r.below(8), h.fx + 160 + 16 * r.below(8), 16);
        const u16 control = 0x37f;
        std::memcpy(h.fx, &control, 2);
        h.fx[4] = static_cast<u8>(r.bits());
        for (unsigned n = 0; n < 8; ++n) {
            u8 mm[16];
            value16(r, mm);
            std::memcpy(h.fx + 32 + 16 * n, mm, 8);
            const u16 exponent = static_cast<u16>(r.bits());
            std::memcpy(h.fx + 40 + 16 * n, &exponent, 2);
        }
        std::memcpy(h.fx + 24, &mxcsr, 4);
        alignas(64) static u8 memory[kOperandSize];
        for (unsigned n = 0; n < kOperandSize; n += 16) value16(r, memory + n);
        const unsigned offset = e.memory && r.chance(15) ? r.below(48) : 16 * r.below(2);
        u8* guest_memory = &guest_.ram[kOperand];
        std::memcpy(guest_memory, memory, kOperandSize);
        for (unsigned n = 0; n < 8; ++n) {
            h.gpr[n] = static_cast<u32>(r.chance(40) ? r.below(40) : single(r));
            if (r.chance(30)) h.gpr[n] = static_cast<u32>(r.bits());
            if (e.wide != nullptr && r.chance(70)) h.gpr[n] = r.chance(50) ? r.bits() : wide(r);
        }
        for (unsigned n = 0; n < 8; ++n) {
            if (n != kEsp) c.gpr[n] = h.gpr[n];
        }
        h.gpr[kEsi] = reinterpret_cast<u64>(memory) + offset;
        h.gpr[kEdi] = h.gpr[kEsi];
        c.gpr[kEsi] = c.gpr[kEdi] = kOperand + offset;
        c.gpr[kEsp] = Bench::kStack0;
        const u32 flags = (static_cast<u32>(r.bits()) & kArith) | kFixed1;
        h.flags = flags | 0x200u;
        c.set_flags(flags);
        for (VectorRegister& v : c.sse.ymm) v = VectorRegister{};
        for (unsigned n = 0; n < 8; ++n) std::memcpy(c.sse.ymm[n].bytes, h.fx + 160 + 16 * n, 16);
        set_mxcsr(&c, mxcsr);
        c.fpu.init();
        c.fpu.in_use = h.fx[4];
        for (unsigned n = 0; n < 8; ++n) {
            std::memcpy(&c.fpu.regs[n].mantissa, h.fx + 32 + 16 * n, 8);
            std::memcpy(&c.fpu.regs[n].sign_exponent, h.fx + 40 + 16 * n, 2);
        }
        const HostState before = h;

        host_.run(h);
        const int vector = e.wide != nullptr ? call(e) : guest_.go();

        const int host_vector = h.fault ? static_cast<int>(h.vector) : -1;
        std::string wrong;
        const auto differ = [&wrong](const std::string& what) { wrong += what + "; "; };
        if (vector != host_vector) differ("vector " + std::to_string(vector) + " host " + std::to_string(host_vector));
        u32 host_mxcsr = 0;
        std::memcpy(&host_mxcsr, h.fx + 24, 4);
        if (c.sse.mxcsr != host_mxcsr) {
            char text[80];
            std::snprintf(text, sizeof text, "mxcsr %04x host %04x", c.sse.mxcsr, host_mxcsr);
            differ(text);
        }
        for (unsigned n = 0; n < 8; ++n) {
            const u8* ours = c.sse.ymm[n].bytes;
            const u8* theirs = h.fx + 160 + 16 * n;
            if (std::memcmp(ours, theirs, e.low_half ? 8 : 16) != 0)
                differ("xmm" + std::to_string(n) + ' ' + hex(ours, 16) + " host " + hex(theirs, 16) + " before " +
                       hex(before.fx + 160 + 16 * n, 16));
            const Float80& st = c.fpu.regs[(c.fpu.top + n) & 7u];
            if (std::memcmp(&st.mantissa, h.fx + 32 + 16 * n, 8) != 0 ||
                std::memcmp(&st.sign_exponent, h.fx + 40 + 16 * n, 2) != 0)
                differ("mm" + std::to_string(n) + ' ' + hex(reinterpret_cast<const u8*>(&st), 16) + " host " +
                       hex(h.fx + 32 + 16 * n, 16) + " before " + hex(before.fx + 32 + 16 * n, 16));
            if (n == kEsp || n == kEsi || n == kEdi) continue;
            if (c.gpr[n] != h.gpr[n])
                differ("gpr" + std::to_string(n) + ' ' + hex(reinterpret_cast<const u8*>(&c.gpr[n]), 8) + " host " +
                       hex(reinterpret_cast<const u8*>(&h.gpr[n]), 8));
        }
        if (c.fpu.in_use != h.fx[4]) differ("tags");
        if (!h.fault) {  // the image on the stack after a fault is the exception tests' business
            const u32 mask = e.free_flags ? kCf | kZf : kArith;
            if (((c.flags() ^ h.flags) & mask) != 0) {
                char text[80];
                std::snprintf(text, sizeof text, "flags %04x host %04x", c.flags() & kArith,
                              static_cast<u32>(h.flags) & kArith);
                differ(text);
            }
        }
        if (std::memcmp(guest_memory, memory, kOperandSize) != 0) differ("memory");
        if (wrong.empty()) return true;
        char text[64];
        std::snprintf(text, sizeof text, " mxcsr %04x offset %u", mxcsr, offset);
        std::string bytes;
        for (const u8 b : e.bytes) bytes += hex(&b, 1) + ' ';
        FAIL_CHECK(bytes << text << ": " << wrong << "source memory " << hex(memory + offset, 16));
        return false;
    }

    int call(const Encoding& e) {
        static Insn code[2];
        code[0] = e.record;
        code[0].fn = e.wide;
        code[1] = Insn{};
        code[1].fn = [](Cpu*, Insn*) {};
        sse_enter(&guest_.cpu);
        const Outcome o = guest_.outcome([this] { code[0].fn(&guest_.cpu, code); });
        sse_leave(&guest_.cpu);
        return o.vector;
    }

    HostInstruction host_;
    Machine guest_;
};

// Encodings of one entry: some register pairs and [ESI].
std::vector<Encoding> encodings(const SseEntry& entry, Random& r, unsigned immediates) {
    std::vector<Encoding> all;
    const bool any_gpr = (entry.shape & (kDstGpr | kSrcGpr)) != 0;
    const u8 opcode = static_cast<u8>(entry.key);
    const unsigned map = entry.key >> 10;
    const unsigned prefix = entry.key >> 8 & 3u;
    const bool groups = map == kMap0f && (opcode == 0x71 || opcode == 0x72 || opcode == 0x73);
    const bool fields = map == kMap0f && opcode == 0x78;
    const unsigned count = (entry.shape & kImmediate) != 0 ? immediates : 1;
    for (unsigned k = 0; k < count; ++k) {
        for (unsigned form = 0; form < 4; ++form) {
            Encoding e;
            e.memory = form == 3;
            if (e.memory && (entry.shape & kRegisterOnly) != 0) continue;
            if (!e.memory && (entry.shape & kMemoryOnly) != 0) continue;
            if (prefix == k66) e.bytes.push_back(0x66);
            if (prefix == kF3) e.bytes.push_back(0xf3);
            if (prefix == kF2) e.bytes.push_back(0xf2);
            e.bytes.push_back(0x0f);
            if (map != kMap0f) e.bytes.push_back(map == kMap38 ? 0x38 : 0x3a);
            e.bytes.push_back(opcode);
            const unsigned limit = any_gpr ? 4 : 8;
            unsigned reg = r.below(limit);
            if (groups) reg = 2 + 2 * r.below(3);
            if (groups && opcode == 0x73) reg = "\2\3\6\7"[r.below(4)];
            if (fields && prefix == k66) reg = 0;
            const unsigned rm = r.below(limit);
            e.bytes.push_back(static_cast<u8>(e.memory ? reg << 3 | 6u : 0xc0u | reg << 3 | rm));
            if ((entry.shape & kImmediate) != 0) {
                // All small ones and some others.
                e.bytes.push_back(static_cast<u8>(k < immediates / 2 ? k : r.bits()));
                if (fields) e.bytes.push_back(static_cast<u8>(r.bits()));
            }
            e.free_flags = entry.feature == Feature::kLzcnt;
            e.low_half = entry.feature == Feature::kSse4a && !e.memory;
            all.push_back(e);
        }
    }
    return all;
}

void compare(std::span<const SseEntry> entries, unsigned immediates = 40) {
    Comparison comparison;
    Random r(1);
    for (const SseEntry& entry : entries) {
        if (entry.feature == Feature::kPrefetch3dnow) continue;
        const unsigned cases = random_cases((entry.shape & kImmediate) != 0 ? 20 : 150);
        for (const Encoding& e : encodings(entry, r, immediates)) comparison.run(e, cases);
    }
}

// MMX registers: all register pairs' kinds and [ESI].
void compare(std::span<const MmxExtension> entries) {
    Comparison comparison;
    Random r(2);
    for (const MmxExtension& entry : entries) {
        const bool immediate = (entry.traits & kMmxImmediate) != 0;
        const bool gpr = (entry.traits & (kMmxReadsGpr | kMmxWritesGpr)) != 0;
        const unsigned cases = random_cases(immediate ? 20 : 150);
        for (unsigned k = 0; k < (immediate ? 256u : 4u); ++k) {
            Encoding e;
            e.memory = k % 4 == 3;
            if ((e.memory ? entry.memory : entry.registers) == nullptr) continue;
            e.bytes = {0x0f};
            if (entry.map != kMmx0f) e.bytes.push_back(entry.map == kMmx38 ? 0x38 : 0x3a);
            e.bytes.push_back(entry.opcode);
            const unsigned reg = r.below(gpr ? 4 : 8);
            const unsigned rm = r.below(gpr ? 4 : 8);
            e.bytes.push_back(static_cast<u8>(e.memory ? reg << 3 | 6u : 0xc0u | reg << 3 | rm));
            if (immediate) e.bytes.push_back(static_cast<u8>(k));
            comparison.run(e, cases);
        }
    }
}

// The forms with REX.W of instructions on general registers.
void compare_wide(std::span<const SseEntry> entries) {
    Comparison comparison;
    Random r(3);
    for (const SseEntry& entry : entries) {
        const bool wide_form = (entry.shape & (kDstGpr | kSrcGpr)) != 0 && (entry.shape & kByteSource) == 0 &&
                               entry.key != sse_key(kMap0f, k66, 0xc4) && entry.key != sse_key(kMap0f, k66, 0xc5);
        if (!wide_form || (entry.key >> 10 == kMap38 && (entry.key >> 8 & 3u) == k66)) continue;
        for (Encoding e : encodings(entry, r, 8)) {
            const std::size_t at = (entry.key >> 8 & 3u) != k00 ? 1 : 0;
            e.bytes.insert(e.bytes.begin() + static_cast<std::ptrdiff_t>(at), 0x48);
            const bool immediate = (entry.shape & kImmediate) != 0;
            const u8 modrm = e.bytes[e.bytes.size() - (immediate ? 2 : 1)];
            const unsigned reg = modrm >> 3 & 7u;
            const unsigned to = (entry.shape & kToRm) != 0 ? modrm & 7u : reg;
            const unsigned from = (entry.shape & kToRm) != 0 ? reg : modrm & 7u;
            e.record.dst = static_cast<u8>((entry.shape & kDstGpr) != 0 ? to * 8 : to * kXmmOffset);
            e.record.src = static_cast<u8>((entry.shape & kSrcGpr) != 0 ? from * 8 : from * kXmmOffset);
            e.record.base = kEsi * 8;
            e.record.index = Cpu::kZeroReg * 8;
            e.record.seg = kDs;
            e.record.imm = immediate ? e.bytes.back() : 0;
            e.wide = entry.pick({e.memory ? Form::kFlatIndex : Form::kReg, static_cast<u8>(e.record.imm),
                                 static_cast<u8>(reg), true, false, false});
            comparison.run(e, random_cases(150));
        }
    }
}

}  // namespace

TEST_CASE("64-bit forms of instructions on general registers give the host's results", "[sse]") {
    compare_wide(sse_convert_entries());
    compare_wide(sse_move_entries());
    compare_wide(sse_gpr_entries());
}
TEST_CASE("instructions that SSE added to MMX give the host's results", "[sse]") {
    compare(mmx_extensions());
    compare(sse_mmx_entries());
}
TEST_CASE("SSE floating-point arithmetic gives the host's results", "[sse]") { compare(sse_float_entries()); }
TEST_CASE("SSE conversions give the host's results", "[sse]") { compare(sse_convert_entries()); }
TEST_CASE("SSE2 integer instructions give the host's results", "[sse]") { compare(sse_int_entries(), 80); }
TEST_CASE("SSE shuffles give the host's results", "[sse]") { compare(sse_shuffle_entries(), 256); }
TEST_CASE("SSE moves give the host's results", "[sse]") { compare(sse_move_entries()); }
TEST_CASE("SSSE3, SSE4.1, AES and PCLMULQDQ give the host's results", "[sse]") { compare(sse4_entries(), 64); }
TEST_CASE("string comparisons of SSE4.2 give the host's results", "[sse]") { compare(sse_string_entries(), 256); }
TEST_CASE("instructions on general registers give the host's results", "[sse]") { compare(sse_gpr_entries()); }

}  // namespace backplane::interp::sse_test
