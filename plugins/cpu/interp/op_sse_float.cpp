// Arithmetic, logic and comparisons of packed and scalar floating-point values.
#include <cstddef>
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

// Four forms: packed single, packed double, scalar single, scalar double.
#define BP_ARITHMETIC(X, OPCODE, NAME, TEXT, PS, PD, SS, SD)    \
    X(kMap0f, k00, OPCODE, NAME##ps, TEXT "ps", k16, PS, kSse)  \
    X(kMap0f, k66, OPCODE, NAME##pd, TEXT "pd", k16, PD, kSse2) \
    X(kMap0f, kF3, OPCODE, NAME##ss, TEXT "ss", k4, SS, kSse)   \
    X(kMap0f, kF2, OPCODE, NAME##sd, TEXT "sd", k8, SD, kSse2)
#define BP_FLOAT_LIST(X)                                                     \
    BP_ARITHMETIC(X, 0x51, Sqrt, "sqrt", kExact, kExact, kExact, kExact)     \
    X(kMap0f, k00, 0x52, Rsqrtps, "rsqrtps", k16, kNone, kSse)               \
    X(kMap0f, kF3, 0x52, Rsqrtss, "rsqrtss", k4, kNone, kSse)                \
    X(kMap0f, k00, 0x53, Rcpps, "rcpps", k16, kNone, kSse)                   \
    X(kMap0f, kF3, 0x53, Rcpss, "rcpss", k4, kNone, kSse)                    \
    X(kMap0f, k00, 0x54, Andps, "andps", k16, kNone, kSse)                   \
    X(kMap0f, k66, 0x54, Andpd, "andpd", k16, kNone, kSse2)                  \
    X(kMap0f, k00, 0x55, Andnps, "andnps", k16, kNone, kSse)                 \
    X(kMap0f, k66, 0x55, Andnpd, "andnpd", k16, kNone, kSse2)                \
    X(kMap0f, k00, 0x56, Orps, "orps", k16, kNone, kSse)                     \
    X(kMap0f, k66, 0x56, Orpd, "orpd", k16, kNone, kSse2)                    \
    X(kMap0f, k00, 0x57, Xorps, "xorps", k16, kNone, kSse)                   \
    X(kMap0f, k66, 0x57, Xorpd, "xorpd", k16, kNone, kSse2)                  \
    BP_ARITHMETIC(X, 0x58, Add, "add", kSingles, kDoubles, kSingle, kDouble) \
    BP_ARITHMETIC(X, 0x59, Mul, "mul", kSingles, kDoubles, kSingle, kDouble) \
    BP_ARITHMETIC(X, 0x5c, Sub, "sub", kSingles, kDoubles, kSingle, kDouble) \
    BP_ARITHMETIC(X, 0x5d, Min, "min", kExact, kExact, kExact, kExact)       \
    BP_ARITHMETIC(X, 0x5e, Div, "div", kSingles, kDoubles, kSingle, kDouble) \
    BP_ARITHMETIC(X, 0x5f, Max, "max", kExact, kExact, kExact, kExact)       \
    X(kMap0f, k00, 0x14, Unpcklps, "unpcklps", k16, kNone, kSse)             \
    X(kMap0f, k66, 0x14, Unpcklpd, "unpcklpd", k16, kNone, kSse2)            \
    X(kMap0f, k00, 0x15, Unpckhps, "unpckhps", k16, kNone, kSse)             \
    X(kMap0f, k66, 0x15, Unpckhpd, "unpckhpd", k16, kNone, kSse2)            \
    X(kMap0f, k66, 0x7c, Haddpd, "haddpd", k16, kDoubles, kSse3)             \
    X(kMap0f, kF2, 0x7c, Haddps, "haddps", k16, kSingles, kSse3)             \
    X(kMap0f, k66, 0x7d, Hsubpd, "hsubpd", k16, kDoubles, kSse3)             \
    X(kMap0f, kF2, 0x7d, Hsubps, "hsubps", k16, kSingles, kSse3)             \
    X(kMap0f, k66, 0xd0, Addsubpd, "addsubpd", k16, kDoubles, kSse3)         \
    X(kMap0f, kF2, 0xd0, Addsubps, "addsubps", k16, kSingles, kSse3)

BP_FLOAT_LIST(BP_SSE_STRUCT)

#define BP_COMPARE(NAME, TEXT, MEM)                                                                             \
    template <std::size_t kPredicate>                                                                           \
    struct NAME {                                                                                               \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::MEM;                                               \
        static constexpr Fp kFloat = Fp::kExact;                                                                \
        [[gnu::always_inline]] static Vec run(Vec a, Vec b) {                                                   \
            asm(TEXT " %2, %1, %0" : "+x"(a) : "x"(b), "i"(kPredicate));                                        \
            return a;                                                                                           \
        }                                                                                                       \
    };                                                                                                          \
    Handler pick_##NAME(const SseChoice& s) {                                                                   \
        return by_number<8>(s.imm & 7u,                                                                         \
                            [&]<std::size_t kPredicate>() -> Handler { return pick_op<NAME<kPredicate>>(s); }); \
    }
BP_COMPARE(Cmpps, "cmpps", k16)
BP_COMPARE(Cmppd, "cmppd", k16)
BP_COMPARE(Cmpss, "cmpss", k4)
BP_COMPARE(Cmpsd, "cmpsd", k8)

// With a VEX prefix there are 32 predicates, made of the eight: eq, lt, le, unord, neq, nlt, nle, ord. The first of the
// pair says whether a QNaN raises (SDM 2, CMPPS); lt and le do. Elements that are not compared come from `a`, which
// survives each combination here.
enum Basic { kEq, kLt, kLe, kUnord, kNeq, kNlt, kNle, kOrd };
template <template <std::size_t> class Compare>
struct Predicates {
    template <std::size_t kBasic>
    static Vec basic(Vec a, Vec b) {
        return Compare<kBasic>::run(a, b);
    }
    static Vec both(Vec a, Vec b) { return _mm_and_si128(a, b); }
    static Vec either(Vec a, Vec b) { return _mm_or_si128(a, b); }
    // Without raising for a QNaN: zeros are compared instead. The result where there is a NaN comes afterwards.
    template <std::size_t kBasic>
    static Vec quiet(Vec a, Vec b) {
        const Vec ordered = basic<kOrd>(a, b);
        return basic<kBasic>(both(a, ordered), both(b, ordered));
    }
    // The result `r`, but raising for a QNaN.
    static Vec raising(Vec a, Vec b, Vec r) {
        asm volatile("" : : "x"(basic<kLt>(a, b)));
        return r;
    }

    template <std::size_t kPredicate>
    struct Of {
        static constexpr Mem kMemory = Compare<0>::kMemory;
        static constexpr Fp kFloat = Fp::kExact;
        static Vec run(Vec a, Vec b) {
            if constexpr (kPredicate < 8) return basic<kPredicate>(a, b);
            const Vec ordered = basic<kOrd>(a, b);
            const Vec unordered = basic<kUnord>(a, b);
            switch (kPredicate) {
                case 0x08: return either(basic<kEq>(a, b), unordered);
                case 0x09: return either(basic<kLt>(a, b), unordered);
                case 0x0a: return either(basic<kLe>(a, b), unordered);
                case 0x0b: return both(basic<kEq>(a, b), basic<kNeq>(a, b));
                case 0x0c: return both(basic<kNeq>(a, b), ordered);
                case 0x0d: return both(basic<kNlt>(a, b), ordered);
                case 0x0e: return both(basic<kNle>(a, b), ordered);
                case 0x0f: return either(basic<kEq>(a, b), basic<kNeq>(a, b));
                case 0x10: return raising(a, b, basic<kEq>(a, b));
                case 0x11: return both(quiet<kLt>(a, b), ordered);
                case 0x12: return both(quiet<kLe>(a, b), ordered);
                case 0x13: return raising(a, b, unordered);
                case 0x14: return raising(a, b, basic<kNeq>(a, b));
                case 0x15: return either(quiet<kNlt>(a, b), unordered);
                case 0x16: return either(quiet<kNle>(a, b), unordered);
                case 0x17: return raising(a, b, ordered);
                case 0x18: return raising(a, b, either(basic<kEq>(a, b), unordered));
                case 0x19: return either(quiet<kLt>(a, b), unordered);
                case 0x1a: return either(quiet<kLe>(a, b), unordered);
                case 0x1b: return both(basic<kLt>(a, b), basic<kNlt>(a, b));
                case 0x1c: return raising(a, b, both(basic<kNeq>(a, b), ordered));
                case 0x1d: return both(quiet<kNlt>(a, b), ordered);
                case 0x1e: return both(quiet<kNle>(a, b), ordered);
                default: return either(basic<kLt>(a, b), basic<kNlt>(a, b));
            }
        }
    };
};
template <template <std::size_t> class Compare, VexKind kKind = VexKind::kLanes>
Handler pick_compare(const SseChoice& s) {
    return pick_vex<Numbered<Predicates<Compare>::template Of, 32>, kKind>(s);
}

#define BP_COMIS(NAME, TEXT, MEM)                                                         \
    struct NAME {                                                                         \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::MEM;                         \
        static constexpr Fp kFloat = Fp::kExact;                                          \
        [[gnu::always_inline]] static u64 run(Vec a, Vec b) {                             \
            u64 zf, pf, cf;                                                               \
            asm(TEXT " %4, %3" : "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf) : "x"(a), "x"(b)); \
            return lazy_compare(zf, pf, cf);                                              \
        }                                                                                 \
    };
BP_COMIS(Ucomiss, "ucomiss", k4)
BP_COMIS(Comiss, "comiss", k4)
BP_COMIS(Ucomisd, "ucomisd", k8)
BP_COMIS(Comisd, "comisd", k8)

constexpr SseEntry kEntries[] = {
    // clang-format off
    BP_FLOAT_LIST(BP_SSE_ENTRY)
    // clang-format on
    {sse_key(kMap0f, k00, 0xc2), Feature::kSse, kImmediate, pick_Cmpps, pick_compare<Cmpps>},
    {sse_key(kMap0f, k66, 0xc2), Feature::kSse2, kImmediate, pick_Cmppd, pick_compare<Cmppd>},
    {sse_key(kMap0f, kF3, 0xc2), Feature::kSse, kImmediate, pick_Cmpss, pick_compare<Cmpss, VexKind::kScalar>},
    {sse_key(kMap0f, kF2, 0xc2), Feature::kSse2, kImmediate, pick_Cmpsd, pick_compare<Cmpsd, VexKind::kScalar>},
    {sse_key(kMap0f, k00, 0x2e), Feature::kSse, 0, pick_op<Ucomiss, ToFlags>, pick_vex_put<Ucomiss, ToFlags>},
    {sse_key(kMap0f, k00, 0x2f), Feature::kSse, 0, pick_op<Comiss, ToFlags>, pick_vex_put<Comiss, ToFlags>},
    {sse_key(kMap0f, k66, 0x2e), Feature::kSse2, 0, pick_op<Ucomisd, ToFlags>, pick_vex_put<Ucomisd, ToFlags>},
    {sse_key(kMap0f, k66, 0x2f), Feature::kSse2, 0, pick_op<Comisd, ToFlags>, pick_vex_put<Comisd, ToFlags>},
};

}  // namespace

std::span<const SseEntry> sse_float_entries() { return kEntries; }

}  // namespace backplane::interp
