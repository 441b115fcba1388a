// Conversions between floating-point and integer formats.
#include <span>

#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

#define BP_CONVERT_LIST(X)                                           \
    X(kMap0f, k00, 0x5a, Cvtps2pd, "cvtps2pd", k8, kExact, kSse2)    \
    X(kMap0f, k66, 0x5a, Cvtpd2ps, "cvtpd2ps", k16, kSingles, kSse2) \
    X(kMap0f, kF3, 0x5a, Cvtss2sd, "cvtss2sd", k4, kExact, kSse2)    \
    X(kMap0f, kF2, 0x5a, Cvtsd2ss, "cvtsd2ss", k8, kSingle, kSse2)   \
    X(kMap0f, k00, 0x5b, Cvtdq2ps, "cvtdq2ps", k16, kExact, kSse2)   \
    X(kMap0f, k66, 0x5b, Cvtps2dq, "cvtps2dq", k16, kExact, kSse2)   \
    X(kMap0f, kF3, 0x5b, Cvttps2dq, "cvttps2dq", k16, kExact, kSse2) \
    X(kMap0f, k66, 0xe6, Cvttpd2dq, "cvttpd2dq", k16, kExact, kSse2) \
    X(kMap0f, kF3, 0xe6, Cvtdq2pd, "cvtdq2pd", k8, kNone, kSse2)     \
    X(kMap0f, kF2, 0xe6, Cvtpd2dq, "cvtpd2dq", k16, kExact, kSse2)

BP_CONVERT_LIST(BP_SSE_STRUCT)

template <typename T>
constexpr Mem kMemOf = sizeof(T) == 8 ? Mem::k8 : Mem::k4;

// From a general register or memory.
#define BP_FROM_INTEGER(NAME, TEXT)                                                                            \
    template <typename T>                                                                                      \
    struct NAME {                                                                                              \
        using Gpr = T;                                                                                         \
        [[maybe_unused]] static constexpr Mem kMemory = kMemOf<T>;                                             \
        static constexpr Fp kFloat = Fp::kExact;                                                               \
        [[gnu::always_inline]] static Vec run(Vec a, Vec b) {                                                  \
            asm(TEXT " %1, %0" : "+x"(a) : "r"(static_cast<T>(low64(b))));                                     \
            return a;                                                                                          \
        }                                                                                                      \
    };                                                                                                         \
    Handler pick_##NAME(const SseChoice& s) { return s.wide ? pick_op<NAME<u64>>(s) : pick_op<NAME<u32>>(s); } \
    Handler pick_v##NAME(const SseChoice& s) {                                                                 \
        return s.wide ? vex<NAME<u64>, VexKind::kScalar, false> : vex<NAME<u32>, VexKind::kScalar, false>;     \
    }
BP_FROM_INTEGER(Cvtsi2ss, "cvtsi2ss")
BP_FROM_INTEGER(Cvtsi2sd, "cvtsi2sd")

// To a general register.
#define BP_TO_INTEGER(NAME, TEXT, MEM)                                                         \
    template <typename T>                                                                      \
    struct NAME {                                                                              \
        [[maybe_unused]] static constexpr Mem kMemory = Mem::MEM;                              \
        static constexpr Fp kFloat = Fp::kExact;                                               \
        [[gnu::always_inline]] static T run(Vec, Vec b) {                                      \
            T r;                                                                               \
            asm(TEXT " %1, %0" : "=r"(r) : "x"(b));                                            \
            return r;                                                                          \
        }                                                                                      \
    };                                                                                         \
    Handler pick_##NAME(const SseChoice& s) {                                                  \
        return s.wide ? pick_op<NAME<u64>, ToGpr<u64>>(s) : pick_op<NAME<u32>, ToGpr<u32>>(s); \
    }                                                                                          \
    Handler pick_v##NAME(const SseChoice& s) {                                                 \
        return s.wide ? vex_put<NAME<u64>, ToGpr<u64>> : vex_put<NAME<u32>, ToGpr<u32>>;       \
    }
BP_TO_INTEGER(Cvtss2si, "cvtss2si", k4)
BP_TO_INTEGER(Cvttss2si, "cvttss2si", k4)
BP_TO_INTEGER(Cvtsd2si, "cvtsd2si", k8)
BP_TO_INTEGER(Cvttsd2si, "cvttsd2si", k8)

constexpr SseEntry kEntries[] = {
    // clang-format off
    BP_CONVERT_LIST(BP_SSE_ENTRY)
    // clang-format on
    {sse_key(kMap0f, kF3, 0x2a), Feature::kSse, kSrcGpr, pick_Cvtsi2ss, pick_vCvtsi2ss},
    {sse_key(kMap0f, kF2, 0x2a), Feature::kSse2, kSrcGpr, pick_Cvtsi2sd, pick_vCvtsi2sd},
    {sse_key(kMap0f, kF3, 0x2c), Feature::kSse, kDstGpr, pick_Cvttss2si, pick_vCvttss2si},
    {sse_key(kMap0f, kF2, 0x2c), Feature::kSse2, kDstGpr, pick_Cvttsd2si, pick_vCvttsd2si},
    {sse_key(kMap0f, kF3, 0x2d), Feature::kSse, kDstGpr, pick_Cvtss2si, pick_vCvtss2si},
    {sse_key(kMap0f, kF2, 0x2d), Feature::kSse2, kDstGpr, pick_Cvtsd2si, pick_vCvtsd2si},
};

}  // namespace

std::span<const SseEntry> sse_convert_entries() { return kEntries; }

}  // namespace backplane::interp
