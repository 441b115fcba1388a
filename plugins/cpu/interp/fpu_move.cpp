// x87 data transfer between registers: FLD, FST, FXCH, FCMOVcc, constants, sign
// and stack manipulation (SDM vol. 1, 8.3.3, 8.3.4).
#include "fpu_internal.hpp"

namespace backplane::interp::x87 {
namespace {

constexpr std::uint16_t kSign = 0x8000;

void fld_sti(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    const unsigned i = insn.opcode & 7u;
    record(fpu, insn);
    const bool underflow = is_empty(fpu, i);
    if (underflow || !is_empty(fpu, 7)) [[unlikely]] {
        if (stack_fault(fpu, !underflow)) push(fpu, kIndefinite);
        return;
    }
    const Float80 value = st(fpu, i);
    replace_sw(fpu, kFpuC1, 0);
    push(fpu, value);
}

// The 66-bit internal constants, rounded as RC asks; index: modrm & 7, RC.
constexpr Float80 kConstants[7][4] = {
    {{0x8000000000000000, 0x3fff},
     {0x8000000000000000, 0x3fff},
     {0x8000000000000000, 0x3fff},
     {0x8000000000000000, 0x3fff}},  // 1
    {{0xd49a784bcd1b8afe, 0x4000},
     {0xd49a784bcd1b8afe, 0x4000},
     {0xd49a784bcd1b8aff, 0x4000},
     {0xd49a784bcd1b8afe, 0x4000}},  // log2 10
    {{0xb8aa3b295c17f0bc, 0x3fff},
     {0xb8aa3b295c17f0bb, 0x3fff},
     {0xb8aa3b295c17f0bc, 0x3fff},
     {0xb8aa3b295c17f0bb, 0x3fff}},  // log2 e
    {{0xc90fdaa22168c235, 0x4000},
     {0xc90fdaa22168c234, 0x4000},
     {0xc90fdaa22168c235, 0x4000},
     {0xc90fdaa22168c234, 0x4000}},  // pi
    {{0x9a209a84fbcff799, 0x3ffd},
     {0x9a209a84fbcff798, 0x3ffd},
     {0x9a209a84fbcff799, 0x3ffd},
     {0x9a209a84fbcff798, 0x3ffd}},  // log10 2
    {{0xb17217f7d1cf79ac, 0x3ffe},
     {0xb17217f7d1cf79ab, 0x3ffe},
     {0xb17217f7d1cf79ac, 0x3ffe},
     {0xb17217f7d1cf79ab, 0x3ffe}},  // ln 2
    {{0, 0}, {0, 0}, {0, 0}, {0, 0}},
};
void fld_constant(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    push_checked(fpu, kConstants[insn.opcode & 7u][(fpu.cw & kFpuRoundingControl) >> 10]);
}

template <bool Pop>
void fst_sti(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    Float80 value = kIndefinite;
    if (is_empty(fpu, 0)) [[unlikely]] {
        if (!stack_underflow(fpu)) return;
    } else {
        value = st(fpu, 0);
        replace_sw(fpu, kFpuC1, 0);
    }
    set_st(fpu, insn.opcode & 7u, value);
    if constexpr (Pop) pop(fpu);
}

// D9 D8+i, undocumented: FSTP ST(i) without the stack fault. An empty ST(0)
// leaves the destination as it was.
void fstp_no_check(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    if (!is_empty(fpu, 0)) set_st(fpu, insn.opcode & 7u, st(fpu, 0));
    replace_sw(fpu, kFpuC1, 0);
    pop(fpu);
}

void fxch(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    const unsigned i = insn.opcode & 7u;
    record(fpu, insn);
    if (is_empty(fpu, 0) || is_empty(fpu, i)) [[unlikely]] {
        if (!stack_underflow(fpu)) return;
        if (is_empty(fpu, 0)) set_st(fpu, 0, kIndefinite);
        if (is_empty(fpu, i)) set_st(fpu, i, kIndefinite);
    } else {
        replace_sw(fpu, kFpuC1, 0);
    }
    const Float80 value = st(fpu, 0);
    st(fpu, 0) = st(fpu, i);
    st(fpu, i) = value;
}

template <std::uint32_t Flags, bool Expected>
void fcmov(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    const unsigned i = insn.opcode & 7u;
    record(fpu, insn);
    if (is_empty(fpu, 0) || is_empty(fpu, i)) [[unlikely]] {
        if (stack_underflow(fpu)) set_st(fpu, 0, kIndefinite);
        return;
    }
    if (((insn.eflags & Flags) != 0) == Expected) st(fpu, 0) = st(fpu, i);
}

template <bool Change>
void sign(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    if (is_empty(fpu, 0)) [[unlikely]] {
        if (stack_underflow(fpu)) set_st(fpu, 0, kIndefinite);
        return;
    }
    replace_sw(fpu, kFpuC1, 0);
    std::uint16_t& top = st(fpu, 0).sign_exponent;
    top = static_cast<std::uint16_t>(Change ? top ^ kSign : top & ~kSign);
}

// ---- stack manipulation ----

template <int Delta>
void move_top(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    replace_sw(fpu, kFpuC1, 0);
    fpu.top = static_cast<std::uint8_t>((fpu.top + Delta) & 7);
}
void ffree(FpuState& fpu, FpuInsn& insn, const FpuMem&) {
    record(fpu, insn);
    replace_sw(fpu, kFpuC1, 0);
    mark_empty(fpu, insn.opcode & 7u);
}
void ffreep(FpuState& fpu, FpuInsn& insn, const FpuMem& mem) {
    ffree(fpu, insn, mem);
    pop(fpu);
}
void fnop(FpuState& fpu, FpuInsn& insn, const FpuMem&) { record(fpu, insn); }

constexpr std::uint32_t kCf = 0x01;
constexpr std::uint32_t kPf = 0x04;
constexpr std::uint32_t kZf = 0x40;

FpuHandler fcmov_handler(unsigned opcode, unsigned row) {
    switch (opcode << 8 | row) {
        case 0xdac0: return fcmov<kCf, true>;
        case 0xdac8: return fcmov<kZf, true>;
        case 0xdad0: return fcmov<kCf | kZf, true>;
        case 0xdad8: return fcmov<kPf, true>;
        case 0xdbc0: return fcmov<kCf, false>;
        case 0xdbc8: return fcmov<kZf, false>;
        case 0xdbd0: return fcmov<kCf | kZf, false>;
        case 0xdbd8: return fcmov<kPf, false>;
        default: return nullptr;
    }
}

FpuHandler register_handler(unsigned opcode, unsigned modrm) {
    const unsigned row = modrm & 0xf8u;
    if (opcode == 0xd9) {
        if (modrm >= 0xe8 && modrm <= 0xee) return fld_constant;
        switch (modrm) {
            case 0xd0: return fnop;
            case 0xe0: return sign<true>;
            case 0xe1: return sign<false>;
            case 0xf6: return move_top<-1>;
            case 0xf7: return move_top<1>;
            default: break;
        }
    }
    switch (opcode << 8 | row) {
        case 0xd9c0: return fld_sti;
        case 0xd9c8:
        case 0xddc8:  // FXCH4 and FXCH7, undocumented aliases
        case 0xdfc8: return fxch;
        case 0xd9d8: return fstp_no_check;
        case 0xddc0: return ffree;
        case 0xdfc0: return ffreep;  // undocumented
        case 0xddd0: return fst_sti<false>;
        case 0xddd8:
        case 0xdfd0:  // FSTP8 and FSTP9, undocumented aliases
        case 0xdfd8: return fst_sti<true>;
        default: return nullptr;
    }
}

}  // namespace

FpuEntry lookup_move(unsigned opcode, unsigned modrm) noexcept {
    if (modrm < 0xc0) return {};
    if (const FpuHandler handler = fcmov_handler(opcode, modrm & 0xf8u)) return {handler, kFpuWaits | kFpuReadsFlags};
    const FpuHandler handler = register_handler(opcode, modrm);
    return handler != nullptr ? FpuEntry{handler, kFpuWaits} : FpuEntry{};
}

}  // namespace backplane::interp::x87
