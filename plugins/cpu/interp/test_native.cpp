// Random 32-bit user instructions on the host's processor and in the engine: registers, defined flags, memory, faults.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>
#include <sstream>

#include "flags.hpp"
#include "test_forms.hpp"
#include "test_user_bench.hpp"

namespace backplane::interp::test {
namespace {

constexpr u32 kCode = 0x10000000, kData = 0x10010000, kDataSize = 0x4000;

struct Generator {
    std::mt19937_64 random;
    UserState state;
    std::vector<u8> code;
    u32 undefined = 0;
    bool two_sources = false;

    explicit Generator(u64 seed) : random(seed) {}
    u32 below(u32 n) { return static_cast<u32>(random() % n); }
    bool chance(u32 percent) { return below(100) < percent; }
    u32 value() {
        static constexpr u32 kEdges[] = {0,          1,      2,      0x7f,   0x80,   0xff,       0x100,      0x7fff,
                                         0x8000,     0xffff, 0x1000, 31,     32,     0x7fffffff, 0x80000000, 0xffffffff,
                                         0xfffffffe, 0x99,   0x9a,   0xaaaa, 0x5555, 0x80008000};
        if (chance(40)) return kEdges[below(std::size(kEdges))];
        if (chance(30)) return below(256);
        return static_cast<u32>(random());
    }
    u32 place() {  // an address, mostly inside the data window, sometimes across its edges
        if (chance(4)) return kData + kDataSize - below(8);
        if (chance(4)) return kData - below(8);
        if (chance(15)) return kData + 0x1000 * (1 + below(3)) - below(8);
        return kData + 64 + below(kDataSize - 128);
    }
    void byte(u32 v) { code.push_back(static_cast<u8>(v)); }
    void number(u32 v, unsigned bytes) {
        for (unsigned k = 0; k < bytes; ++k) byte(v >> (8 * k));
    }

    void fresh_state() {
        for (u32& g : state.gpr) g = value();
        state.gpr[kEsp] = kData + 0x2000 + below(64) * 4;
        if (chance(50)) state.gpr[kEbp] = kData + 0x2800 + below(64) * 4;
        state.eip = kCode;
        state.eflags = 0x202 | (static_cast<u32>(random()) & (kArith | (chance(10) ? kDf : 0u)));
        state.vector = state.error = state.cr2 = 0;
    }

    // Appends one instruction. `fixed`: registers may not be chosen to fit (inside a sequence).
    void instruction(const Form_& f, bool fixed) {
        bool small = false;
        bool address16 = false;
        bool repeat = false;
        if (chance(20) && (f.shape & kWide) == 0) {
            byte(0x66);
            small = true;
        }
        if (!fixed && chance(5)) {
            byte(0x67);
            address16 = true;
        }
        if (!fixed && chance(2)) byte(0xf0);
        if ((f.shape & kString) != 0 ? chance(60) : !fixed && chance(2) && (f.shape & kNoRep) == 0) {
            byte(chance(50) ? 0xf2 : 0xf3);
            repeat = true;
        }
        if (chance(4)) {
            static constexpr u8 kOverride[] = {0x26, 0x3e, 0x36, 0x2e};
            byte(kOverride[below(4)]);
        }
        if ((f.shape & kTwoByte) != 0) byte(0x0f);
        byte(f.opcode);
        two_sources = f.opcode == 0xa6 || f.opcode == 0xa7;
        unsigned operand_bits = small ? 16 : 32;
        if ((f.opcode & 1u) == 0 && (f.shape & kTwoByte) == 0) operand_bits = 8;
        if ((f.shape & kModrm) != 0) modrm(f, fixed, address16);
        if ((f.shape & kString) != 0 && !fixed) {
            state.gpr[kEsi] = place();
            state.gpr[kEdi] = place();
            state.gpr[kEcx] = chance(80) ? below(40) : below(0x3000);
            if (address16) state.gpr[kEcx] &= 0xff;
            if (chance(30)) state.gpr[kEdi] = state.gpr[kEsi] + below(9) - 4;
            (void)repeat;
        }
        u32 imm = value();
        if ((f.shape & kForward) != 0) imm = fixed ? below(4) : below(64);
        if ((f.shape & kMoffs) != 0) number(place(), address16 ? 2 : 4);
        if ((f.shape & (kImm8 | kForward)) != 0) byte(imm);
        if ((f.shape & kImm16) != 0) number(imm, 2);
        if ((f.shape & kImmV) != 0) number(imm, small ? 2 : 4);
        // What a taken branch skips: single-byte increments and decrements.
        if ((f.shape & kForward) != 0 && fixed) {
            for (u32 k = 0; k < imm; ++k) byte(chance(50) ? 0x46 : 0x4f);
        }
        undefined |= f.undefined;
        if ((f.shape & kShift) != 0) {
            u32 count = 1;
            if ((f.shape & kByCl) != 0)
                count = state.gpr[kEcx] & 31u;
            else if ((f.shape & kImm8) != 0)
                count = imm & 31u;
            shift_flags(f, count, operand_bits);
        }
    }
    void shift_flags(const Form_& f, u32 count, unsigned bits) {
        if (f.digit == 8) bits = bits == 8 ? (code[0] == 0x66 || code[1] == 0x66 ? 16 : 32) : bits;
        if (count == 0) return;
        if (f.digit >= 4) undefined |= kAf;
        if (count != 1) undefined |= kOf;
        if (f.digit >= 4 && count >= bits) undefined |= kCf;
        if (f.digit == 8 && count > bits) state.eip = 0;  // the result is undefined as well: not run
    }
    void modrm(const Form_& f, bool fixed, bool address16) {
        const u32 reg = (f.shape & kGroup) != 0 ? f.digit : below(8);
        const bool memory = (f.shape & kMemOnly) != 0 || (f.opcode == 0xff && f.digit == 6) || chance(55);
        if (!memory) {
            byte(0xc0 | reg << 3 | below(8));
            return;
        }
        if (address16 || chance(5)) {  // anything goes
            const u32 mod = below(3);
            const u32 rm = below(8);
            byte(mod << 6 | reg << 3 | rm);
            u32 sib_base = 0;
            if (!address16 && rm == 4) {
                sib_base = below(8);
                byte(below(32) << 3 | sib_base);
            }
            if (mod == 1)
                byte(value());
            else if (mod == 2)
                number(value(), address16 ? 2 : 4);
            else if (address16 ? rm == 6 : rm == 5 || (rm == 4 && sib_base == 5))
                number(place(), address16 ? 2 : 4);
            return;
        }
        const u32 target = place();
        const u32 mod = below(3);
        const u32 disp = mod == 0 ? 0 : mod == 1 ? static_cast<u32>(static_cast<i8>(value())) : value();
        u32 base = below(8);
        if (fixed) {  // only what needs no register, or the stack pointer
            if (chance(50)) {
                byte(reg << 3 | 5);
                number(target, 4);
            } else {
                byte(0x44 | reg << 3);
                byte(0x24);
                byte(below(16) * 4);
            }
            return;
        }
        if (chance(40)) {  // SIB
            const u32 index = below(8);
            const u32 scale = below(4);
            if (base == 5 && mod == 0) base = 6;
            byte(mod << 6 | reg << 3 | 4);
            byte(scale << 6 | index << 3 | base);
            u32 offset = 0;
            if (index != 4) {
                if (index == base) state.gpr[index] = below(0x100);
                offset = state.gpr[index] << scale;
            }
            if (index != base) state.gpr[base] = target - disp - offset;
        } else {
            if (base == 4) base = 3;
            if (base == 5 && mod == 0) base = 1;
            byte(mod << 6 | reg << 3 | base);
            state.gpr[base] = target - disp;
        }
        if (mod == 1)
            byte(disp);
        else if (mod == 2)
            number(disp, 4);
    }
};

std::string show(const UserState& s) {
    std::ostringstream out;
    static constexpr const char* kNames[] = {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"};
    out << std::hex;
    for (unsigned n = 0; n < 8; ++n) out << kNames[n] << "=" << s.gpr[n] << " ";
    out << "eip=" << s.eip << " fl=" << s.eflags << " vector=" << s.vector << " error=" << s.error << " cr2=" << s.cr2;
    return out.str();
}

struct Comparison {
    HostProcessor host;
    LowMemory code{kCode, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC};
    LowMemory data{kData, kDataSize, PROT_READ | PROT_WRITE};
    std::vector<u8> image = std::vector<u8>(kDataSize), after = std::vector<u8>(kDataSize);
    UserBench bench;

    Comparison() {
        bench.map(kCode, code.data(), 0x2000, true);
        bench.map(kData, data.data(), kDataSize, true);
        std::memset(code.data(), 0xcc, 0x2000);
        std::mt19937_64 random(1);
        for (u8& b : image) b = static_cast<u8>(random());
    }

    // Some kernels have no 32-bit user code: the jump there is a general protection fault for its selector.
    bool possible() {
        UserState s;
        s.eip = kCode;
        s.eflags = 0x202;
        s.gpr[4] = kData + 0x100;
        host.run(s);
        return s.vector == 3;
    }
    void fill_code(const Generator& g) {
        std::memset(code.data(), 0xcc, 0x2000);
        std::memcpy(code.data(), g.code.data(), g.code.size());
        bench.touched(kCode, 0x2000);
    }
    // "" or the description of the difference.
    std::string compare(const Generator& g) {
        fill_code(g);
        UserState native = g.state;
        std::memcpy(data.data(), image.data(), kDataSize);
        host.run(native);
        std::memcpy(after.data(), data.data(), kDataSize);
        // The engine's data is executable, the host's is not.
        if (native.vector == kPage && (native.error & 0x10u) != 0 && native.cr2 - kData < kDataSize) return {};
        // POPA that faults in the middle: processors have loaded some registers, the engine has not.
        if (native.vector == kPage && native.eip - kCode < g.code.size()) {
            u32 at = native.eip - kCode;
            while (at < g.code.size() && (g.code[at] == 0x66 || g.code[at] == 0x67 || g.code[at] >= 0xf0)) ++at;
            if (at < g.code.size() && g.code[at] == 0x61) return {};
        }
        UserState ours = g.state;
        std::memcpy(data.data(), image.data(), kDataSize);
        fill_code(g);
        bench.run(ours);
        // A fault leaves the flags of instructions that had begun undefined only where the manual says so; RF in the
        // image of a fault is set by the processor and not shown in a signal's context on every kernel.
        u32 mask = (kArith | kDf | kTf) & ~g.undefined;
        if (native.vector == kDe) mask = 0;
        bool equal = native.vector == ours.vector && native.eip == ours.eip &&
                     std::memcmp(native.gpr, ours.gpr, sizeof native.gpr) == 0 &&
                     (native.eflags & mask) == (ours.eflags & mask) &&
                     std::memcmp(after.data(), data.data(), kDataSize) == 0;
        if (native.vector == kPage) {
            // Not compared: "present" (the engine's own tables lie in low memory) and "instruction fetch" (needs NX).
            constexpr u32 kCompared = 6;
            // CMPS: which operand is read first differs between processors, and between CMPS and REP CMPS of one.
            equal =
                equal && (native.cr2 == ours.cr2 || g.two_sources) && ((native.error ^ ours.error) & kCompared) == 0;
        }
        if (equal) return {};
        std::ostringstream out;
        out << "code:" << std::hex;
        for (u8 b : g.code) out << (b < 16 ? " 0" : " ") << static_cast<unsigned>(b);
        out << "\nbefore: " << show(g.state) << "\nhost:   " << show(native) << "\nengine: " << show(ours);
        for (u32 k = 0; k < kDataSize; ++k) {
            if (after[k] != data.data()[k]) {
                out << "\nmemory " << kData + k << ": host " << static_cast<unsigned>(after[k]) << " engine "
                    << static_cast<unsigned>(data.data()[k]) << " before " << static_cast<unsigned>(image[k]);
                break;
            }
        }
        return out.str();
    }
};

u64 cases() {
    const char* text = std::getenv("BACKPLANE_RANDOM_CASES");
    return text != nullptr ? std::strtoull(text, nullptr, 0) : 100000;
}

// AddressSanitizer's own tables lie where 32-bit code can reach them.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kAddressesTaken = true;
#else
constexpr bool kAddressesTaken = false;
#endif

}  // namespace

TEST_CASE("single random instructions do what the host's processor does") {
    if (kAddressesTaken) {
        WARN("not with AddressSanitizer");
        return;
    }
    Comparison c;
    if (!c.possible()) {
        WARN("skipped: this host's kernel runs no 32-bit code");
        return;
    }
    Generator g(0x1234);
    unsigned failures = 0;
    const std::vector<Form_>& list = forms();
    for (u64 n = 0; n < cases() && failures < 20; ++n) {
        g.code.clear();
        g.undefined = 0;
        g.fresh_state();
        g.instruction(list[g.below(static_cast<u32>(list.size()))], false);
        if (g.state.eip == 0) continue;
        const std::string difference = c.compare(g);
        if (!difference.empty()) {
            ++failures;
            INFO(difference);
            CHECK(false);
        }
    }
}

TEST_CASE("sequences of random instructions with flags passed between them do what the host's processor does") {
    if (kAddressesTaken) {
        WARN("not with AddressSanitizer");
        return;
    }
    Comparison c;
    if (!c.possible()) {
        WARN("skipped: this host's kernel runs no 32-bit code");
        return;
    }
    Generator g(0x5678);
    unsigned failures = 0;
    std::vector<Form_> list;
    for (const Form_& f : forms()) {
        if ((f.shape & kDefined) != 0) list.push_back(f);
    }
    for (u64 n = 0; n < cases() / 4 && failures < 10; ++n) {
        g.code.clear();
        g.undefined = 0;
        g.fresh_state();
        const u32 length = 2 + g.below(10);
        for (u32 k = 0; k < length; ++k) g.instruction(list[g.below(static_cast<u32>(list.size()))], true);
        const std::string difference = c.compare(g);
        if (!difference.empty()) {
            ++failures;
            INFO(difference);
            CHECK(false);
        }
    }
}

}  // namespace backplane::interp::test
