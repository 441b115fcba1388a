#include "gdb/registers.hpp"

#include <cstring>

namespace backplane::gdb {
namespace {

constexpr const char* kCore = "org.gnu.gdb.i386.core";
constexpr const char* kSse = "org.gnu.gdb.i386.sse";
constexpr const char* kAvx = "org.gnu.gdb.i386.avx";
constexpr const char* kSegments = "org.gnu.gdb.i386.segments";
constexpr const char* kSystem = "org.backplane.i386.system";
constexpr u64 kVm = 1u << 17, kPe = 1;

// `bits` of a field, zero-extended.
template <class Field>
Register number(std::string name, unsigned bits, std::string type, std::string group, std::string feature,
                Field field) {
    const auto bytes = bits / 8;
    return {std::move(name),
            bits,
            std::move(type),
            std::move(group),
            std::move(feature),
            [=](const bp_x86_state& s, u8* out) {
                const u64 value = field(const_cast<bp_x86_state&>(s));
                std::memcpy(out, &value, bytes);
            },
            [=](bp_x86_state& s, const u8* in) {
                u64 value = 0;
                std::memcpy(&value, in, bytes);
                auto& place = field(s);
                place = static_cast<std::remove_reference_t<decltype(place)>>(value);
                return u64{place} == value;
            }};
}

// A selector. Outside protected mode its base follows from it; inside, the descriptor is not looked up here, so that
// only the present value can be written.
Register selector(std::string name, unsigned index) {
    return {std::move(name),
            32,
            "int32",
            "general",
            kCore,
            [=](const bp_x86_state& s, u8* out) {
                const u32 value = s.segment[index].selector;
                std::memcpy(out, &value, 4);
            },
            [=](bp_x86_state& s, const u8* in) {
                u32 value = 0;
                std::memcpy(&value, in, 4);
                bp_x86_segment& g = s.segment[index];
                if (value == g.selector) return true;
                if (value > 0xffff || ((s.cr0 & kPe) != 0 && (s.rflags & kVm) == 0)) return false;
                g.selector = static_cast<u16>(value);
                g.base = u64{value} << 4;
                return true;
            }};
}

Register bytes(std::string name, unsigned bits, std::string type, std::string group, std::string feature,
               u8* (*place)(bp_x86_state& s, unsigned n), unsigned n) {
    const auto size = bits / 8;
    return {std::move(name),
            bits,
            std::move(type),
            std::move(group),
            std::move(feature),
            [=](const bp_x86_state& s, u8* out) { std::memcpy(out, place(const_cast<bp_x86_state&>(s), n), size); },
            [=](bp_x86_state& s, const u8* in) {
                std::memcpy(place(s, n), in, size);
                return true;
            }};
}

// The full tag word: FXSAVE's form knows only what is empty.
u32 tag_word(const bp_x86_state& s) {
    const unsigned top = s.fsw >> 11 & 7u;
    u32 word = 0;
    for (unsigned n = 0; n < 8; ++n) {
        const bp_x86_float& f = s.st[(n - top) & 7u];
        const unsigned exponent = f.sign_exponent & 0x7fffu;
        unsigned tag = 0;
        if ((s.ftw >> n & 1u) == 0)
            tag = 3;
        else if (exponent == 0 && f.mantissa == 0)
            tag = 1;
        else if (exponent == 0 || exponent == 0x7fff || f.mantissa >> 63 == 0)
            tag = 2;
        word |= tag << (2 * n);
    }
    return word;
}

Register tags() {
    return {"ftag",
            32,
            "int",
            "float",
            kCore,
            [](const bp_x86_state& s, u8* out) {
                const u32 word = tag_word(s);
                std::memcpy(out, &word, 4);
            },
            [](bp_x86_state& s, const u8* in) {
                u32 word = 0;
                std::memcpy(&word, in, 4);
                s.ftw = 0;
                for (unsigned n = 0; n < 8; ++n)
                    if ((word >> (2 * n) & 3u) != 3) s.ftw = static_cast<u8>(s.ftw | 1u << n);
                return true;
            }};
}

struct Named {
    const char* name;
    unsigned index;
};

void add_general(std::vector<Register>& r, bool wide) {
    static constexpr Named kWide[] = {{"rax", 0}, {"rbx", 3}, {"rcx", 1}, {"rdx", 2},
                                      {"rsi", 6}, {"rdi", 7}, {"rbp", 5}, {"rsp", 4}};
    static constexpr Named kNarrow[] = {{"eax", 0}, {"ecx", 1}, {"edx", 2}, {"ebx", 3},
                                        {"esp", 4}, {"ebp", 5}, {"esi", 6}, {"edi", 7}};
    const unsigned bits = wide ? 64 : 32;
    for (const Named& n : wide ? kWide : kNarrow) {
        const bool stack = n.index == BP_X86_RSP || n.index == BP_X86_RBP;
        r.push_back(number(
            n.name, bits,
            stack  ? "data_ptr"
            : wide ? "int64"
                   : "int32",
            "general", kCore, [i = n.index](bp_x86_state & s) -> auto& { return s.gpr[i]; }));
    }
    if (wide)
        for (unsigned i = 8; i < 16; ++i)
            r.push_back(number(
                "r" + std::to_string(i), 64, "int64", "general",
                kCore, [i](bp_x86_state & s) -> auto& { return s.gpr[i]; }));
    r.push_back(number(
        wide ? "rip" : "eip", bits, "code_ptr", "general", kCore, [](bp_x86_state & s) -> auto& { return s.rip; }));
    r.push_back(number(
        "eflags", 32, "i386_eflags", "general", kCore, [](bp_x86_state & s) -> auto& { return s.rflags; }));
    static constexpr Named kSelectors[] = {{"cs", BP_X86_CS}, {"ss", BP_X86_SS}, {"ds", BP_X86_DS},
                                           {"es", BP_X86_ES}, {"fs", BP_X86_FS}, {"gs", BP_X86_GS}};
    for (const Named& n : kSelectors) r.push_back(selector(n.name, n.index));
}

void add_float(std::vector<Register>& r) {
    for (unsigned n = 0; n < 8; ++n)
        r.push_back(bytes(
            "st" + std::to_string(n), 80, "i387_ext", "", kCore,
            [](bp_x86_state& s, unsigned i) { return reinterpret_cast<u8*>(&s.st[i]); }, n));
    const auto add = [&r](const char* name, auto field) {
        r.push_back(number(name, 32, "int", "float", kCore, field));
    };
    add(
        "fctrl", [](bp_x86_state & s) -> auto& { return s.fcw; });
    add(
        "fstat", [](bp_x86_state & s) -> auto& { return s.fsw; });
    r.push_back(tags());
    add(
        "fiseg", [](bp_x86_state & s) -> auto& { return s.fcs; });
    add(
        "fioff", [](bp_x86_state & s) -> auto& { return s.fip; });
    add(
        "foseg", [](bp_x86_state & s) -> auto& { return s.fds; });
    add(
        "fooff", [](bp_x86_state & s) -> auto& { return s.fdp; });
    add(
        "fop", [](bp_x86_state & s) -> auto& { return s.fop; });
}

void add_vectors(std::vector<Register>& r, unsigned count, bool avx) {
    for (unsigned n = 0; n < count; ++n)
        r.push_back(bytes(
            "xmm" + std::to_string(n), 128, "vec128", "", kSse, [](bp_x86_state& s, unsigned i) { return s.ymm[i]; },
            n));
    r.push_back(number(
        "mxcsr", 32, "i386_mxcsr", "vector", kSse, [](bp_x86_state & s) -> auto& { return s.mxcsr; }));
    for (unsigned n = 0; avx && n < count; ++n)
        r.push_back(bytes(
            "ymm" + std::to_string(n) + "h", 128, "uint128", "", kAvx,
            [](bp_x86_state& s, unsigned i) { return s.ymm[i] + 16; }, n));
}

void add_system(std::vector<Register>& r, bool wide) {
    const unsigned bits = wide ? 64 : 32;
    const char* const type = wide ? "int64" : "int32";
    const auto add = [&](const char* name, const char* feature, auto field) {
        r.push_back(number(name, bits, type, feature == kSystem ? "system" : "", feature, field));
    };
    const char* const segments = wide ? kSegments : kSystem;
    add(
        "fs_base", segments, [](bp_x86_state & s) -> auto& { return s.segment[BP_X86_FS].base; });
    add(
        "gs_base", segments, [](bp_x86_state & s) -> auto& { return s.segment[BP_X86_GS].base; });
    if (wide)
        add(
            "k_gs_base", kSystem, [](bp_x86_state & s) -> auto& { return s.kernel_gs_base; });
    add(
        "cr0", kSystem, [](bp_x86_state & s) -> auto& { return s.cr0; });
    add(
        "cr2", kSystem, [](bp_x86_state & s) -> auto& { return s.cr2; });
    add(
        "cr3", kSystem, [](bp_x86_state & s) -> auto& { return s.cr3; });
    add(
        "cr4", kSystem, [](bp_x86_state & s) -> auto& { return s.cr4; });
    if (wide)
        add(
            "cr8", kSystem, [](bp_x86_state & s) -> auto& { return s.cr8; });
    if (wide)
        add(
            "efer", kSystem, [](bp_x86_state & s) -> auto& { return s.efer; });
}

}  // namespace

std::vector<Register> registers_of(u32 features) {
    const bool wide = (features & BP_CPU_HAS_LONG_MODE) != 0;
    std::vector<Register> r;
    add_general(r, wide);
    add_float(r);
    // A debugger of 64-bit code takes it for granted.
    if (wide || (features & BP_CPU_HAS_SSE) != 0) add_vectors(r, wide ? 16 : 8, (features & BP_CPU_HAS_AVX) != 0);
    add_system(r, wide);
    return r;
}

}  // namespace backplane::gdb
