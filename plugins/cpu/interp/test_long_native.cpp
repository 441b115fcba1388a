// Random 64-bit user instructions on the host's processor and in the engine: registers, defined flags, memory, faults.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>
#include <sstream>

#include "flags.hpp"
#include "test_forms.hpp"
#include "test_long_bench.hpp"

namespace backplane::interp::test {
namespace {

constexpr u32 kCode = 0x10000000, kData = 0x10010000, kDataSize = 0x4000;

bool exists_in_long_mode(const Form_& f) {
    if ((f.shape & kTwoByte) != 0) return true;
    switch (f.opcode) {
        case 0x27:
        case 0x2f:
        case 0x37:
        case 0x3f:
        case 0x60:
        case 0x61:
        case 0x62:
        case 0xce:
        case 0xd4:
        case 0xd5:
        case 0xd6: return false;
        default: return f.opcode < 0x40 || f.opcode >= 0x50;
    }
}
// Processors differ in what an operand-size prefix does to these: near branches, and how much MOVSXD then reads.
bool prefix66_differs(const Form_& f) {
    if ((f.shape & kTwoByte) != 0) return false;
    return f.opcode == 0x63 || (f.shape & kForward) != 0 || f.opcode == 0xc2 || f.opcode == 0xc3 ||
           (f.opcode == 0xff && (f.digit == 2 || f.digit == 4));
}
std::vector<Form_> long_forms(bool defined_only) {
    std::vector<Form_> list;
    for (const Form_& f : forms()) {
        if (exists_in_long_mode(f) && (!defined_only || (f.shape & kDefined) != 0)) list.push_back(f);
    }
    return list;
}

struct Generator {
    std::mt19937_64 random;
    LongState state;
    std::vector<u8> code;
    std::vector<std::size_t> starts;  // of the instructions in `code`
    u32 undefined = 0;
    bool two_sources = false;
    bool calls = false;   // CALL r/m
    bool skip = false;    // the result is not defined
    u32 relative_to = 0;  // data address of a RIP-relative operand, 0: none
    std::size_t relative_at = 0;
    u8 rex = 0;

    explicit Generator(u64 seed) : random(seed) {}
    u32 below(u32 n) { return static_cast<u32>(random() % n); }
    bool chance(u32 percent) { return below(100) < percent; }
    u64 value() {
        static constexpr u64 kEdges[] = {0,
                                         1,
                                         2,
                                         0x7f,
                                         0x80,
                                         0xff,
                                         0x7fff,
                                         0x8000,
                                         0xffff,
                                         31,
                                         32,
                                         63,
                                         64,
                                         0x7fffffff,
                                         0x80000000,
                                         0xffffffff,
                                         0x100000000,
                                         0x7fffffffffffffff,
                                         0x8000000000000000,
                                         0xffffffffffffffff,
                                         0xffffffff80000000,
                                         0xaaaaaaaa55555555};
        if (chance(40)) return kEdges[below(std::size(kEdges))];
        if (chance(30)) return below(256);
        return chance(50) ? random() : static_cast<u32>(random());
    }
    u32 place() {  // an address, mostly inside the data window, sometimes across its edges
        if (chance(4)) return kData + kDataSize - below(16);
        if (chance(4)) return kData - below(16);
        if (chance(15)) return kData + 0x1000 * (1 + below(3)) - below(16);
        return kData + 64 + below(kDataSize - 128);
    }
    void byte(u64 v) { code.push_back(static_cast<u8>(v)); }
    void number(u64 v, unsigned bytes) {
        for (unsigned k = 0; k < bytes; ++k) byte(v >> (8 * k));
    }

    void fresh() {
        code.clear();
        starts.clear();
        undefined = 0;
        skip = two_sources = calls = false;
        for (u64& g : state.gpr) g = value();
        state.gpr[kEsp] = kData + 0x2000 + below(64) * 8;
        if (chance(50)) state.gpr[kEbp] = kData + 0x2800 + below(64) * 8;
        state.rip = kCode;
        state.rflags = 0x202 | (static_cast<u32>(random()) & (kArith | (chance(10) ? kDf : 0u)));
        state.vector = state.error = 0;
        state.cr2 = 0;
    }

    // Appends one instruction. `fixed`: registers may not be chosen to fit (inside a sequence).
    void instruction(const Form_& f, bool fixed) {
        starts.push_back(code.size());
        bool small = false;
        bool address32 = false;
        relative_to = 0;
        if (chance(15) && (f.shape & kWide) == 0 && !prefix66_differs(f)) {
            byte(0x66);
            small = true;
        }
        if (!fixed && chance(6)) {
            byte(0x67);
            address32 = true;
        }
        if (!fixed && chance(5)) byte(0xf0);
        if ((f.shape & kString) != 0 ? chance(60) : !fixed && chance(2) && (f.shape & kNoRep) == 0)
            byte(chance(50) ? 0xf2 : 0xf3);
        if (chance(4)) {
            static constexpr u8 kOverride[] = {0x26, 0x3e, 0x36, 0x2e};
            byte(kOverride[below(4)]);
        }
        rex = chance(60) ? static_cast<u8>(0x40 | below(16)) : u8{0};
        if (!fixed && rex != 0 && chance(1)) byte(0x40 | below(16));  // not directly before the opcode: ignored
        if (rex != 0) byte(rex);
        const bool wide = (rex & 8u) != 0;
        if ((f.shape & kTwoByte) != 0) byte(0x0f);
        byte(f.opcode);
        two_sources = f.opcode == 0xa6 || f.opcode == 0xa7;
        calls = f.opcode == 0xff && f.digit == 2;
        unsigned operand_bits = wide ? 64 : small ? 16 : 32;
        if ((f.opcode & 1u) == 0 && (f.shape & kTwoByte) == 0) operand_bits = 8;
        if ((f.shape & kModrm) != 0) modrm(f, fixed, address32);
        if ((f.shape & kString) != 0 && !fixed) {
            state.gpr[kEsi] = place();
            state.gpr[kEdi] = place();
            state.gpr[kEcx] = chance(80) ? below(40) : below(0x3000);
            if (chance(30)) state.gpr[kEdi] = state.gpr[kEsi] + below(9) - 4;
            if (address32) state.gpr[kEsi] |= random() << 32, state.gpr[kEcx] |= random() << 32;
        }
        u64 imm = value();
        if ((f.shape & kForward) != 0) imm = fixed ? below(4) : below(64);
        if ((f.shape & kMoffs) != 0) number(place(), address32 ? 4 : 8);
        if ((f.shape & (kImm8 | kForward)) != 0) byte(imm);
        if ((f.shape & kImm16) != 0) number(imm, 2);
        if ((f.shape & kImmV) != 0) {
            const bool full = f.opcode >= 0xb8 && f.opcode < 0xc0 && wide;
            number(imm, full ? 8 : small && !wide ? 2 : 4);
        }
        if (relative_to != 0) {
            const u32 disp = relative_to - (kCode + static_cast<u32>(code.size()));
            for (unsigned k = 0; k < 4; ++k) code[relative_at + k] = static_cast<u8>(disp >> (8 * k));
        }
        // What a taken branch skips: single-byte instructions.
        if ((f.shape & kForward) != 0 && fixed) {
            for (u64 k = 0; k < imm; ++k) byte(chance(50) ? 0xf5 : 0x98);
        }
        undefined |= f.undefined;
        if ((f.shape & kShift) != 0) {
            u32 count = 1;
            const u32 mask = wide && operand_bits != 8 ? 63u : 31u;
            if ((f.shape & kByCl) != 0)
                count = static_cast<u32>(state.gpr[kEcx]) & mask;
            else if ((f.shape & kImm8) != 0)
                count = static_cast<u32>(imm) & mask;
            if (f.digit == 8) operand_bits = wide ? 64 : small ? 16 : 32;
            shift_flags(f, count, operand_bits);
        }
    }
    void shift_flags(const Form_& f, u32 count, unsigned bits) {
        if (count == 0) return;
        if (f.digit >= 4) undefined |= kAf;
        if (count != 1) undefined |= kOf;
        if (f.digit >= 4 && count >= bits) undefined |= kCf;
        if (f.digit == 8 && count > bits) skip = true;
    }
    void modrm(const Form_& f, bool fixed, bool address32) {
        const u32 reg = (f.shape & kGroup) != 0 ? f.digit : below(8);
        const bool memory = (f.shape & kMemOnly) != 0 || (f.opcode == 0xff && f.digit == 6) || chance(55);
        if (!memory) {
            byte(0xc0 | reg << 3 | below(8));
            return;
        }
        const u32 target = place();
        const u32 rex_b = (rex & 1u) << 3;
        const u32 rex_x = (rex & 2u) << 2;
        if (fixed) {
            if (chance(50) || rex_b != 0) {
                byte(0x04 | reg << 3);
                byte(rex_x != 0 ? 0x21 : 0x25);  // with REX.X the index is R12, without there is none
                if (rex_x != 0) code.back() = 0x25;
                number(target, 4);
                if (rex_x != 0) skip = true;  // R12 is not known here
            } else {
                byte(0x44 | reg << 3);
                byte(0x24);
                byte(below(16) * 8);
                if (rex_x != 0) skip = true;
            }
            return;
        }
        if (chance(15)) {
            byte(reg << 3 | 5);
            relative_to = target;
            relative_at = code.size();
            number(0, 4);
            return;
        }
        const u32 mod = below(3);
        const u64 disp = mod == 0   ? 0
                         : mod == 1 ? static_cast<u64>(static_cast<i8>(value()))
                                    : static_cast<u64>(static_cast<i32>(value()));
        u32 base = below(8);
        const u64 garbage = address32 ? random() << 32 : chance(2) ? 1ull << 47 : 0;
        if (chance(40)) {  // SIB
            const u32 index = below(8);
            const u32 scale = below(4);
            if (base == 5 && mod == 0) base = 6;
            byte(mod << 6 | reg << 3 | 4);
            byte(scale << 6 | index << 3 | base);
            const u32 i = index | rex_x;
            const u32 b = base | rex_b;
            u64 offset = 0;
            if (i != 4) {
                if (i == b) state.gpr[i] = below(0x100);
                offset = state.gpr[i] << scale;
            }
            if (i != b || i == 4) state.gpr[b] = target - disp - offset + garbage;
        } else {
            if (base == 4) base = 3;
            if (base == 5 && mod == 0) base = 1;
            byte(mod << 6 | reg << 3 | base);
            state.gpr[base | rex_b] = target - disp + garbage;
        }
        if (mod == 1)
            byte(disp);
        else if (mod == 2)
            number(disp, 4);
    }
};

std::string show(const LongState& s) {
    std::ostringstream out;
    static constexpr const char* kNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"};
    out << std::hex;
    for (unsigned n = 0; n < 8; ++n) out << kNames[n] << "=" << s.gpr[n] << " ";
    for (unsigned n = 8; n < 16; ++n) out << "r" << std::dec << n << std::hex << "=" << s.gpr[n] << " ";
    out << "rip=" << s.rip << " fl=" << s.rflags << " vector=" << s.vector << " error=" << s.error << " cr2=" << s.cr2;
    return out.str();
}

struct Comparison {
    LongHostProcessor host;
    LowMemory code{kCode, 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC};
    LowMemory data{kData, kDataSize, PROT_READ | PROT_WRITE};
    std::vector<u8> image = std::vector<u8>(kDataSize), after = std::vector<u8>(kDataSize);
    LongBench bench;

    Comparison() {
        bench.map(kCode, code.data(), 0x2000, true);
        bench.map(kData, data.data(), kDataSize, true);
        std::mt19937_64 random(1);
        for (u8& b : image) b = static_cast<u8>(random());
    }
    void fill_code(const Generator& g) {
        std::memset(code.data(), 0xcc, 0x2000);
        std::memcpy(code.data(), g.code.data(), g.code.size());
        bench.touched(kCode, 0x2000);
    }
    // "" or the description of the difference.
    std::string compare(const Generator& g) {
        fill_code(g);
        LongState native = g.state;
        std::memcpy(data.data(), image.data(), kDataSize);
        host.run(native);
        std::memcpy(after.data(), data.data(), kDataSize);
        // The engine's data is executable, the host's is not.
        if (native.vector == kPage && (native.error & 0x10u) != 0 && native.cr2 - kData < kDataSize) return {};
        LongState ours = g.state;
        std::memcpy(data.data(), image.data(), kDataSize);
        fill_code(g);
        bench.run(ours);
        // A call to nowhere with a stack that is nowhere: processors of AMD look at the stack first.
        if (g.calls && ours.vector == kGp && (native.vector == kPage || native.vector == kSsFault)) return {};
        u32 mask = (kArith | kDf | kTf) & ~g.undefined;
        if (native.vector == kDe) mask = 0;
        bool equal = native.vector == ours.vector && native.rip == ours.rip &&
                     std::memcmp(native.gpr, ours.gpr, sizeof native.gpr) == 0 &&
                     (native.rflags & mask) == (ours.rflags & mask) &&
                     std::memcmp(after.data(), data.data(), kDataSize) == 0;
        if (native.vector == kPage) {
            // Not compared: "present" and "instruction fetch", see the 32-bit test.
            constexpr u32 kCompared = 6;
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

// The same difference with less: instructions and register contents that do not matter are taken away.
std::string minimised(Comparison& c, Generator g) {
    std::string found = c.compare(g);
    const auto still = [&](const Generator& smaller) {
        std::string difference = c.compare(smaller);
        if (difference.empty()) return false;
        found = std::move(difference);
        return true;
    };
    for (std::size_t n = g.starts.size(); n-- > 0 && g.starts.size() > 1;) {
        Generator smaller = g;
        const std::size_t from = g.starts[n];
        const std::size_t to = n + 1 < g.starts.size() ? g.starts[n + 1] : g.code.size();
        smaller.code.erase(smaller.code.begin() + static_cast<std::ptrdiff_t>(from),
                           smaller.code.begin() + static_cast<std::ptrdiff_t>(to));
        smaller.starts.erase(smaller.starts.begin() + static_cast<std::ptrdiff_t>(n));
        for (std::size_t k = n; k < smaller.starts.size(); ++k) smaller.starts[k] -= to - from;
        if (still(smaller)) g = smaller;
    }
    for (unsigned n = 0; n < 16; ++n) {
        if (n == kEsp) continue;
        for (const u64 v : {u64{0}, g.state.gpr[n] & 0xffu, g.state.gpr[n] & 0xffffffffu}) {
            Generator smaller = g;
            smaller.state.gpr[n] = v;
            if (g.state.gpr[n] == v || !still(smaller)) continue;
            g = smaller;
            break;
        }
    }
    Generator smaller = g;
    smaller.state.rflags = 0x202;
    if (still(smaller)) g = smaller;
    std::ostringstream out;
    out << found << "\nas a case: {" << std::hex;
    for (u8 b : g.code) out << "0x" << static_cast<unsigned>(b) << ", ";
    out << "}, rflags 0x" << g.state.rflags;
    for (unsigned n = 0; n < 16; ++n)
        if (g.state.gpr[n] != 0) out << ", gpr[" << std::dec << n << "] = 0x" << std::hex << g.state.gpr[n];
    return out.str();
}

u64 cases() {
    const char* text = std::getenv("BACKPLANE_RANDOM_CASES");
    return text != nullptr ? std::strtoull(text, nullptr, 0) : 100000;
}

// AddressSanitizer's own tables lie where the code's 32-bit addresses lead; a store there would be its end.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kAddressesTaken = true;
#else
constexpr bool kAddressesTaken = false;
#endif

}  // namespace

TEST_CASE("single random instructions of 64-bit mode do what the host's processor does") {
    if (kAddressesTaken) {
        WARN("not with AddressSanitizer");
        return;
    }
    Comparison c;
    Generator g(0x6401);
    unsigned failures = 0;
    const std::vector<Form_> list = long_forms(false);
    for (u64 n = 0; n < cases() && failures < 20; ++n) {
        g.fresh();
        g.instruction(list[g.below(static_cast<u32>(list.size()))], false);
        if (g.skip) continue;
        const std::string difference = c.compare(g);
        if (!difference.empty()) {
            ++failures;
            INFO(minimised(c, g));
            CHECK(false);
        }
    }
}

TEST_CASE("sequences of random instructions of 64-bit mode do what the host's processor does") {
    if (kAddressesTaken) {
        WARN("not with AddressSanitizer");
        return;
    }
    Comparison c;
    Generator g(0x6402);
    unsigned failures = 0;
    const std::vector<Form_> list = long_forms(true);
    for (u64 n = 0; n < cases() / 4 && failures < 10; ++n) {
        g.fresh();
        const u32 length = 2 + g.below(10);
        for (u32 k = 0; k < length; ++k) g.instruction(list[g.below(static_cast<u32>(list.size()))], true);
        if (g.skip) continue;
        const std::string difference = c.compare(g);
        if (!difference.empty()) {
            ++failures;
            INFO(minimised(c, g));
            CHECK(false);
        }
    }
}

}  // namespace backplane::interp::test
