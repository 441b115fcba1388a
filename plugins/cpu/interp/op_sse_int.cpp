// Packed integers of SSE2 (map 0F).
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

#define BP_INT(X, OPCODE, NAME, TEXT) X(kMap0f, k66, OPCODE, NAME, TEXT, k16, kNone, kSse2)
#define BP_INT_LIST(X)                        \
    BP_INT(X, 0x60, Punpcklbw, "punpcklbw")   \
    BP_INT(X, 0x61, Punpcklwd, "punpcklwd")   \
    BP_INT(X, 0x62, Punpckldq, "punpckldq")   \
    BP_INT(X, 0x63, Packsswb, "packsswb")     \
    BP_INT(X, 0x64, Pcmpgtb, "pcmpgtb")       \
    BP_INT(X, 0x65, Pcmpgtw, "pcmpgtw")       \
    BP_INT(X, 0x66, Pcmpgtd, "pcmpgtd")       \
    BP_INT(X, 0x67, Packuswb, "packuswb")     \
    BP_INT(X, 0x68, Punpckhbw, "punpckhbw")   \
    BP_INT(X, 0x69, Punpckhwd, "punpckhwd")   \
    BP_INT(X, 0x6a, Punpckhdq, "punpckhdq")   \
    BP_INT(X, 0x6b, Packssdw, "packssdw")     \
    BP_INT(X, 0x6c, Punpcklqdq, "punpcklqdq") \
    BP_INT(X, 0x6d, Punpckhqdq, "punpckhqdq") \
    BP_INT(X, 0x74, Pcmpeqb, "pcmpeqb")       \
    BP_INT(X, 0x75, Pcmpeqw, "pcmpeqw")       \
    BP_INT(X, 0x76, Pcmpeqd, "pcmpeqd")       \
    BP_INT(X, 0xd1, Psrlw, "psrlw")           \
    BP_INT(X, 0xd2, Psrld, "psrld")           \
    BP_INT(X, 0xd3, Psrlq, "psrlq")           \
    BP_INT(X, 0xd4, Paddq, "paddq")           \
    BP_INT(X, 0xd5, Pmullw, "pmullw")         \
    BP_INT(X, 0xd8, Psubusb, "psubusb")       \
    BP_INT(X, 0xd9, Psubusw, "psubusw")       \
    BP_INT(X, 0xda, Pminub, "pminub")         \
    BP_INT(X, 0xdb, Pand, "pand")             \
    BP_INT(X, 0xdc, Paddusb, "paddusb")       \
    BP_INT(X, 0xdd, Paddusw, "paddusw")       \
    BP_INT(X, 0xde, Pmaxub, "pmaxub")         \
    BP_INT(X, 0xdf, Pandn, "pandn")           \
    BP_INT(X, 0xe0, Pavgb, "pavgb")           \
    BP_INT(X, 0xe1, Psraw, "psraw")           \
    BP_INT(X, 0xe2, Psrad, "psrad")           \
    BP_INT(X, 0xe3, Pavgw, "pavgw")           \
    BP_INT(X, 0xe4, Pmulhuw, "pmulhuw")       \
    BP_INT(X, 0xe5, Pmulhw, "pmulhw")         \
    BP_INT(X, 0xe8, Psubsb, "psubsb")         \
    BP_INT(X, 0xe9, Psubsw, "psubsw")         \
    BP_INT(X, 0xea, Pminsw, "pminsw")         \
    BP_INT(X, 0xeb, Por, "por")               \
    BP_INT(X, 0xec, Paddsb, "paddsb")         \
    BP_INT(X, 0xed, Paddsw, "paddsw")         \
    BP_INT(X, 0xee, Pmaxsw, "pmaxsw")         \
    BP_INT(X, 0xef, Pxor, "pxor")             \
    BP_INT(X, 0xf1, Psllw, "psllw")           \
    BP_INT(X, 0xf2, Pslld, "pslld")           \
    BP_INT(X, 0xf3, Psllq, "psllq")           \
    BP_INT(X, 0xf4, Pmuludq, "pmuludq")       \
    BP_INT(X, 0xf5, Pmaddwd, "pmaddwd")       \
    BP_INT(X, 0xf6, Psadbw, "psadbw")         \
    BP_INT(X, 0xf8, Psubb, "psubb")           \
    BP_INT(X, 0xf9, Psubw, "psubw")           \
    BP_INT(X, 0xfa, Psubd, "psubd")           \
    BP_INT(X, 0xfb, Psubq, "psubq")           \
    BP_INT(X, 0xfc, Paddb, "paddb")           \
    BP_INT(X, 0xfd, Paddw, "paddw")           \
    BP_INT(X, 0xfe, Paddd, "paddd")

BP_INT_LIST(BP_SSE_STRUCT)

// 0F 71, 72, 73: the count is the immediate. Registers only; there is no source, so src is what dst is.
template <class Op>
struct ByImmediate {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec, u32 imm) { return Op::run(a, vec(imm)); }
};
// A window on these, moved by n bytes, is a PSHUFB control that shifts by n: a set top bit gives zero.
constexpr u8 kZ = 0x80;
alignas(16) constexpr u8 kShiftWindow[48] = {kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ,
                                             0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                             kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ, kZ};
template <bool kLeft>
struct ShiftBytes {
    static constexpr Mem kMemory = Mem::k16;
    static constexpr Fp kFloat = Fp::kNone;
    [[gnu::always_inline]] static Vec run(Vec a, Vec, u32 imm) {
        const u32 n = imm < 16 ? imm : 16;
        const u8* window = kShiftWindow + (kLeft ? 16 - n : 16 + n);
        const Vec control = _mm_loadu_si128(reinterpret_cast<const Vec*>(window));
        asm("pshufb %1, %0" : "+x"(a) : "x"(control));
        return a;
    }
};

Handler pick_group12(const SseChoice& s) {
    if (s.reg == 2) return pick_register<ByImmediate<Psrlw>>(s);
    if (s.reg == 4) return pick_register<ByImmediate<Psraw>>(s);
    if (s.reg == 6) return pick_register<ByImmediate<Psllw>>(s);
    return nullptr;
}
Handler pick_group13(const SseChoice& s) {
    if (s.reg == 2) return pick_register<ByImmediate<Psrld>>(s);
    if (s.reg == 4) return pick_register<ByImmediate<Psrad>>(s);
    if (s.reg == 6) return pick_register<ByImmediate<Pslld>>(s);
    return nullptr;
}
Handler pick_group14(const SseChoice& s) {
    if (s.reg == 2) return pick_register<ByImmediate<Psrlq>>(s);
    if (s.reg == 3) return pick_register<ShiftBytes<false>>(s);
    if (s.reg == 6) return pick_register<ByImmediate<Psllq>>(s);
    if (s.reg == 7) return pick_register<ShiftBytes<true>>(s);
    return nullptr;
}

// With a VEX prefix the r/m register is the source and the destination is another one; the operation's first operand
// is the source then.
Handler pick_vex_group12(const SseChoice& s) {
    if (s.reg == 2) return pick_vex<ByImmediate<Psrlw>>(s);
    if (s.reg == 4) return pick_vex<ByImmediate<Psraw>>(s);
    if (s.reg == 6) return pick_vex<ByImmediate<Psllw>>(s);
    return nullptr;
}
Handler pick_vex_group13(const SseChoice& s) {
    if (s.reg == 2) return pick_vex<ByImmediate<Psrld>>(s);
    if (s.reg == 4) return pick_vex<ByImmediate<Psrad>>(s);
    if (s.reg == 6) return pick_vex<ByImmediate<Pslld>>(s);
    return nullptr;
}
Handler pick_vex_group14(const SseChoice& s) {
    if (s.reg == 2) return pick_vex<ByImmediate<Psrlq>>(s);
    if (s.reg == 3) return pick_vex<ShiftBytes<false>>(s);
    if (s.reg == 6) return pick_vex<ByImmediate<Psllq>>(s);
    if (s.reg == 7) return pick_vex<ShiftBytes<true>>(s);
    return nullptr;
}

constexpr u8 kGroup = kImmediate | kToRm | kRegisterOnly;
constexpr SseEntry kEntries[] = {
    // clang-format off
    BP_INT_LIST(BP_SSE_ENTRY)
    // clang-format on
    {sse_key(kMap0f, k66, 0x71), Feature::kSse2, kGroup, pick_group12, pick_vex_group12},
    {sse_key(kMap0f, k66, 0x72), Feature::kSse2, kGroup, pick_group13, pick_vex_group13},
    {sse_key(kMap0f, k66, 0x73), Feature::kSse2, kGroup, pick_group14, pick_vex_group14},
};

}  // namespace

std::span<const SseEntry> sse_int_entries() { return kEntries; }

}  // namespace backplane::interp
