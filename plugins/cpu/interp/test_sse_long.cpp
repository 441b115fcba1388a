// SSE, MMX and x87 instructions in 64-bit mode against the host's processor: REX prefixes, the registers that they
// reach, operands with SIB and relative to RIP. The same code runs on both: FXRSTOR64, the instruction, INT3.
#include <catch2/catch.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "mmx_extensions.hpp"
#include "test_long_bench.hpp"
#include "test_sse_machine.hpp"
#include "test_sse_random.hpp"

namespace backplane::interp::sse_test {
namespace {

using fpu_test::random_cases;
using test::LongBench;
using test::LongHostProcessor;
using test::LongState;
using test::LowMemory;

constexpr u32 kCode = 0x10000000, kData = 0x10010000, kDataSize = 0x2000;
// In the data: the FXSAVE image that is loaded, and what the instruction has as its memory.
constexpr u32 kImage = 0x1000, kWindow = 0x100, kWindowSize = 0x80;

const CpuModel& long_model() {
    static const CpuModel kModel = [] {
        CpuModel m = *find_model("qemu64");
        m.features_ecx |= full_model().features_ecx;
        m.extended_ecx |= full_model().extended_ecx;
        return m;
    }();
    return kModel;
}

// An instruction without its operands.
struct Template {
    std::vector<u8> prefixes, opcode;
    int reg = -1;  // of the ModRM byte, -1: any
    bool registers = true, memory = true;
    unsigned immediates = 0;
    u32 flags = kArith;     // the defined ones
    bool low_half = false;  // the upper half of an XMM destination is undefined
    bool compares = false;  // x87: the condition codes are defined
};

class Comparison {
  public:
    Comparison() {
        bench_.cpu.model = &long_model();
        bench_.map(kCode, code_.data(), 0x1000, true);
        bench_.map(kData, data_.data(), kDataSize, true);
    }
    void run(const Template& t, unsigned encodings, unsigned cases) {
        u64 seed = 64;
        for (const u8 b : t.opcode) seed = seed * 257 + b;
        for (const u8 b : t.prefixes) seed = seed * 257 + b;
        Random r(seed * 9 + static_cast<u64>(t.reg + 1));
        for (unsigned k = 0; k < encodings; ++k) {
            if (!encode(t, r)) continue;
            for (unsigned n = 0; n < cases; ++n) {
                if (!one(t, r)) return;
            }
        }
        SUCCEED();
    }

  private:
    bool encode(const Template& t, Random& r) {
        memory_ = t.memory && (!t.registers || r.chance(50));
        if (!memory_ && !t.registers) return false;
        bytes_ = t.prefixes;
        rex_ = r.chance(80) ? static_cast<u8>(0x40u | r.below(16)) : u8{0};
        if (rex_ != 0) bytes_.push_back(rex_);
        bytes_.insert(bytes_.end(), t.opcode.begin(), t.opcode.end());
        const unsigned reg = t.reg >= 0 ? static_cast<unsigned>(t.reg) : r.below(8);
        base_ = index_ = scale_ = 16;
        relative_ = 0;
        if (!memory_) {
            bytes_.push_back(static_cast<u8>(0xc0u | reg << 3 | r.below(8)));
        } else if (r.chance(25)) {
            bytes_.push_back(static_cast<u8>(reg << 3 | 5u));
            relative_ = bytes_.size();
            bytes_.insert(bytes_.end(), 4, 0);
        } else if (r.chance(50)) {
            const unsigned base = r.below(8);
            const unsigned index = r.below(8);
            scale_ = r.below(4);
            base_ = base | (rex_ & 1u) << 3;
            index_ = index | (rex_ & 2u) << 2;
            if (index_ == 4) index_ = 16;
            bytes_.push_back(static_cast<u8>(0x44u | reg << 3));
            bytes_.push_back(static_cast<u8>(scale_ << 6 | index << 3 | base));
            bytes_.push_back(displacement_ = static_cast<u8>(r.bits()));
        } else {
            unsigned base = r.below(8);
            if (base == 4) base = 6;
            base_ = base | (rex_ & 1u) << 3;
            bytes_.push_back(static_cast<u8>(0x40u | reg << 3 | base));
            bytes_.push_back(displacement_ = static_cast<u8>(r.bits()));
        }
        for (unsigned n = 0; n < t.immediates; ++n)
            bytes_.push_back(static_cast<u8>(r.chance(60) ? r.below(20) : r.bits()));
        // 48 0F AE 0D disp32: FXRSTOR64 [rip + disp].
        code_bytes_ = {0x48, 0x0f, 0xae, 0x0d, 0, 0, 0, 0};
        const u32 image = kData + kImage - (kCode + 8);
        std::memcpy(&code_bytes_[4], &image, 4);
        code_bytes_.insert(code_bytes_.end(), bytes_.begin(), bytes_.end());
        return true;
    }
    void set_code(u32 target) {
        std::memset(code_.data(), 0xcc, 64);
        std::memcpy(code_.data(), code_bytes_.data(), code_bytes_.size());
        if (relative_ != 0) {
            const u32 disp = target - (kCode + static_cast<u32>(code_bytes_.size()));
            std::memcpy(code_.data() + 8 + relative_, &disp, 4);
        }
        bench_.touched(kCode, 64);
    }
    void make_image(Random& r, u8* fx) {
        std::memset(fx, 0, 512);
        mxcsr_ = static_cast<u32>(r.bits()) & (kMxcsrRounding | kMxcsrFlags);
        if (r.chance(25)) mxcsr_ |= kMxcsrDaz;
        if (r.chance(25)) mxcsr_ |= kMxcsrFtz;
        mxcsr_ |= r.chance(75) ? kMxcsrMasks : static_cast<u32>(r.bits()) & kMxcsrMasks;
        std::memcpy(fx + 24, &mxcsr_, 4);
        static constexpr u16 kPrecision[] = {0, 0x200, 0x300, 0x300};
        const u16 control =
            static_cast<u16>(0x40u | kPrecision[r.below(4)] | r.below(4) << 10 | (r.chance(75) ? 0x3fu : r.below(64)));
        const u16 status = static_cast<u16>(r.below(8) << 11);
        std::memcpy(fx, &control, 2);
        std::memcpy(fx + 2, &status, 2);
        fx[4] = r.chance(70) ? u8{0xff} : static_cast<u8>(r.bits());
        for (unsigned n = 0; n < 8; ++n) {
            u8 mm[16];
            value16(r, mm);
            const Float80 value = r.float80();
            std::memcpy(fx + 32 + 16 * n, r.chance(50) ? static_cast<const void*>(mm) : &value.mantissa, 8);
            std::memcpy(fx + 40 + 16 * n, &value.sign_exponent, 2);
        }
        for (unsigned n = 0; n < 16; ++n) value16(r, fx + 160 + 16 * n);
        if (r.chance(20)) std::memcpy(fx + 160 + 16 * r.below(16), fx + 160 + 16 * r.below(16), 16);
    }
    bool one(const Template& t, Random& r) {
        u8 before[kDataSize];
        std::memset(before, 0, sizeof before);
        make_image(r, before + kImage);
        for (unsigned n = 0; n < kWindowSize; n += 16) value16(r, before + kWindow + n);
        const u32 target = kData + kWindow + 16 + (r.chance(15) ? r.below(64) : 16 * r.below(3));
        LongState start;
        for (u64& g : start.gpr) {
            u8 value[16];
            value16(r, value);
            std::memcpy(&g, value, 8);
        }
        if (r.chance(50)) start.gpr[0] = r.below(40), start.gpr[2] = r.below(40);  // lengths
        start.gpr[kEdi] = target;                                                  // of MASKMOVDQU
        if (base_ < 16) {
            u64 offset = static_cast<u64>(static_cast<i8>(displacement_));
            if (index_ < 16) {
                // With one register for both, only some targets can be reached.
                if (index_ == base_) {
                    const u64 times = 1 + (1ull << scale_);
                    if ((target - offset) % times != 0) return true;
                    start.gpr[base_] = (target - offset) / times;
                } else {
                    offset += start.gpr[index_] << scale_;
                }
            }
            if (index_ != base_) start.gpr[base_] = target - offset;
        }
        start.rip = kCode;
        start.rflags = 0x202u | (static_cast<u32>(r.bits()) & kArith);
        set_code(target);

        LongState ours = start;
        std::memcpy(data_.data(), before, kDataSize);
        bench_.run(ours);
        u8 here[kDataSize];
        std::memcpy(here, data_.data(), kDataSize);
        std::ostringstream wrong;
        // Virtual machines have been seen to refuse an instruction (#UD) now and then that they execute the next time.
        for (unsigned attempt = 0; attempt < 5; ++attempt) {
            wrong = std::ostringstream();
            wrong << std::hex;
            alignas(16) u8 fx[512];
            LongState native = start;
            native.fx = fx;
            std::memcpy(data_.data(), before, kDataSize);
            host_.run(native);
            compare(t, native, ours, fx, wrong);
            for (u32 n = 0; n < kDataSize; ++n) {
                if (here[n] == data_.data()[n]) continue;
                wrong << "memory " << n << ' ' << +here[n] << " host " << +data_.data()[n] << "; ";
                break;
            }
            if (wrong.str().empty()) return true;
            if (native.vector != kUd || ours.vector == kUd) break;
        }
        std::ostringstream text;
        text << std::hex;
        for (const u8 b : bytes_) text << +b << ' ';
        FAIL_CHECK(text.str() << "mxcsr " << std::hex << mxcsr_ << " target " << target << ": " << wrong.str());
        return false;
    }
    void compare(const Template& t, const LongState& native, const LongState& ours, const u8* fx,
                 std::ostringstream& wrong) {
        const Cpu& c = bench_.cpu;
        if (native.vector != ours.vector || native.rip != ours.rip)
            wrong << "vector " << ours.vector << " at " << ours.rip << " host " << native.vector << " at " << native.rip
                  << "; ";
        for (unsigned n = 0; n < 16; ++n) {
            if (native.gpr[n] != ours.gpr[n])
                wrong << "gpr" << n << ' ' << ours.gpr[n] << " host " << native.gpr[n] << "; ";
        }
        if (native.vector == kBp && ((native.rflags ^ ours.rflags) & t.flags) != 0)
            wrong << "flags " << ours.rflags << " host " << native.rflags << "; ";
        u32 host_mxcsr = 0;
        std::memcpy(&host_mxcsr, fx + 24, 4);
        // As in the test of 32-bit mode.
        const u32 raised = host_mxcsr & ~mxcsr_ >> kMxcsrMaskShift & (kMxcsrOverflow | kMxcsrUnderflow);
        const u32 ignored = native.vector == kXm && raised != 0 ? kMxcsrPrecision : 0;
        if (((c.sse.mxcsr ^ host_mxcsr) & ~ignored) != 0)
            wrong << "mxcsr " << c.sse.mxcsr << " host " << host_mxcsr << "; ";
        for (unsigned n = 0; n < 16; ++n) {
            if (std::memcmp(c.sse.ymm[n].bytes, fx + 160 + 16 * n, t.low_half ? 8 : 16) != 0)
                wrong << "xmm" << n << "; ";
        }
        u16 status = 0;
        std::memcpy(&status, fx + 2, 2);
        const u32 codes = t.compares && (status & kFpuErrorSummary) == 0 ? 0x4500 : 0;
        const u32 mask = kFpuTopMask | kFpuExceptions | kFpuErrorSummary | kFpuStackFault | kFpuBusy | codes;
        if (((status ^ c.fpu.status_word()) & mask) != 0)
            wrong << "fsw " << c.fpu.status_word() << " host " << status << "; ";
        if (c.fpu.in_use != fx[4]) wrong << "tags " << +c.fpu.in_use << " host " << +fx[4] << "; ";
        for (unsigned n = 0; n < 8; ++n) {
            const Float80& st = c.fpu.regs[(c.fpu.top + n) & 7u];
            if (std::memcmp(&st.mantissa, fx + 32 + 16 * n, 8) != 0 ||
                std::memcmp(&st.sign_exponent, fx + 40 + 16 * n, 2) != 0)
                wrong << "st" << n << ' ' << st.sign_exponent << ':' << st.mantissa << "; ";
        }
    }

    LongHostProcessor host_;
    LowMemory code_{kCode, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC};
    LowMemory data_{kData, kDataSize, PROT_READ | PROT_WRITE};
    LongBench bench_;
    std::vector<u8> bytes_, code_bytes_;
    bool memory_ = false;
    u8 rex_ = 0, displacement_ = 0;
    unsigned base_ = 16, index_ = 16, scale_ = 0;
    std::size_t relative_ = 0;
    u32 mxcsr_ = 0;
};

void compare(std::span<const SseEntry> entries) {
    Comparison comparison;
    for (const SseEntry& e : entries) {
        if (e.feature == Feature::kPrefetch3dnow) continue;
        Template t;
        const u8 opcode = static_cast<u8>(e.key);
        const unsigned map = e.key >> 10;
        const unsigned prefix = e.key >> 8 & 3u;
        static constexpr u8 kPrefixes[] = {0, 0x66, 0xf3, 0xf2};
        if (prefix != k00) t.prefixes = {kPrefixes[prefix]};
        t.opcode = {0x0f};
        if (map != kMap0f) t.opcode.push_back(map == kMap38 ? 0x38 : 0x3a);
        t.opcode.push_back(opcode);
        t.registers = (e.shape & kMemoryOnly) == 0;
        t.memory = (e.shape & kRegisterOnly) == 0;
        const bool fields = map == kMap0f && opcode == 0x78;
        if ((e.shape & kImmediate) != 0) t.immediates = fields ? 2 : 1;
        if (fields && prefix == k66) t.reg = 0;
        if (e.feature == Feature::kLzcnt) t.flags = kCf | kZf;
        t.low_half = e.feature == Feature::kSse4a;
        const unsigned encodings = t.immediates != 0 ? 24 : 12;
        if (map == kMap0f && opcode >= 0x71 && opcode <= 0x73) {
            for (int digit = 2; digit < 8; ++digit) {
                if (opcode != 0x73 && digit % 2 != 0) continue;
                if (opcode == 0x73 && (digit == 4 || digit == 5)) continue;
                t.reg = digit;
                comparison.run(t, encodings / 2, random_cases(10));
            }
            continue;
        }
        comparison.run(t, encodings, random_cases(10));
    }
}

}  // namespace

TEST_CASE("64-bit mode: SSE arithmetic and conversions give the host's results", "[sse][long]") {
    compare(sse_float_entries());
    compare(sse_convert_entries());
}
TEST_CASE("64-bit mode: SSE integers, shuffles and moves give the host's results", "[sse][long]") {
    compare(sse_int_entries());
    compare(sse_shuffle_entries());
    compare(sse_move_entries());
    compare(sse_mmx_entries());
}
TEST_CASE("64-bit mode: later extensions of SSE give the host's results", "[sse][long]") {
    compare(sse4_entries());
    compare(sse_string_entries());
    compare(sse_gpr_entries());
}
TEST_CASE("64-bit mode: MMX gives the host's results", "[mmx][long]") {
    Comparison comparison;
    for (unsigned opcode = 0x60; opcode < 0x100; ++opcode) {
        // The shifts by immediates are one opcode for several.
        const bool shifts = opcode >= 0x71 && opcode <= 0x73;
        for (int digit = shifts ? 2 : 0; digit < (shifts ? 8 : 1); ++digit) {
            Template t;
            const auto modrm = static_cast<u8>(digit << 3);
            t.opcode = {0x0f, static_cast<u8>(opcode)};
            t.registers = mmx_lookup(static_cast<u8>(opcode), 0xc0u | modrm).handler != nullptr;
            t.memory = mmx_lookup(static_cast<u8>(opcode), modrm).handler != nullptr;
            if (opcode == 0x77 || (!t.registers && !t.memory)) continue;
            if (shifts) t.reg = digit, t.immediates = 1;
            comparison.run(t, 12, random_cases(10));
        }
    }
    for (const MmxExtension& e : mmx_extensions()) {
        Template t;
        t.opcode = {0x0f};
        if (e.map != kMmx0f) t.opcode.push_back(e.map == kMmx38 ? 0x38 : 0x3a);
        t.opcode.push_back(e.opcode);
        t.registers = e.registers != nullptr;
        t.memory = e.memory != nullptr;
        t.immediates = (e.traits & kMmxImmediate) != 0 ? 1 : 0;
        comparison.run(t, 12, random_cases(10));
    }
}
TEST_CASE("64-bit mode: x87 instructions with memory operands give the host's results", "[fpu][long]") {
    Comparison comparison;
    for (unsigned opcode = 0xd8; opcode < 0xe0; ++opcode) {
        for (int digit = 0; digit < 8; ++digit) {
            // FLDENV, FNSTENV, FRSTOR and FNSAVE have pointers, in which processors differ.
            if ((opcode == 0xd9 || opcode == 0xdd) && (digit == 4 || digit == 6)) continue;
            if (fpu_lookup(static_cast<u8>(opcode), static_cast<u8>(digit << 3)).handler == nullptr) continue;
            Template t;
            t.opcode = {static_cast<u8>(opcode)};
            t.reg = digit;
            t.registers = false;
            t.compares = opcode % 2 == 0 && (digit == 2 || digit == 3);
            comparison.run(t, 16, random_cases(20));
        }
    }
}

}  // namespace backplane::interp::sse_test
