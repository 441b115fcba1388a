// What came with the SSE family and works on general registers and memory: these need no operating system support.
// Also MXCSR and the fences.
#include <span>

#include "flags.hpp"
#include "sse_ops.hpp"

namespace backplane::interp {
namespace {

// ZF from the result or the source, the other arithmetic flags cleared.
[[gnu::always_inline]] inline void set_zf_only(Cpu* c, bool zf, u32 cf) {
    c->flag_result = zf ? 0 : 1;
    c->flag_aux = (cf << 31 | cf << 30) | (zf ? 1ull << 32 : 0);  // PF is clear in either case
}
struct Popcnt {
    template <typename T>
    [[gnu::always_inline]] static void run(Cpu* c, Insn* i, T v) {
        u64 n = v;
        asm("popcntq %0, %0" : "+r"(n) : : "cc");
        set_zf_only(c, v == 0, 0);
        put<T>(c, i, static_cast<T>(n));
    }
    template <typename T>
    [[gnu::always_inline]] static void put(Cpu* c, Insn* i, T v) {
        if constexpr (sizeof(T) == 2)
            reg<u16>(c, i->dst) = v;
        else
            reg<u64>(c, i->dst) = v;
    }
};
// CF: the source is zero, ZF: the result is. The others are left undefined.
struct Lzcnt {
    template <typename T>
    [[gnu::always_inline]] static void run(Cpu* c, Insn* i, T v) {
        const T n = v == 0 ? static_cast<T>(kBits<T>)
                           : static_cast<T>(static_cast<unsigned>(__builtin_clzll(v)) - (64 - kBits<T>));
        set_zf_only(c, n == 0, v == 0 ? 1 : 0);
        Popcnt::put<T>(c, i, n);
    }
};
template <typename T>
T swapped(T v) {
    if constexpr (sizeof(T) == 2) return __builtin_bswap16(v);
    if constexpr (sizeof(T) == 4) return __builtin_bswap32(v);
    return static_cast<T>(__builtin_bswap64(v));
}
struct MovbeLoad {
    template <typename T>
    [[gnu::always_inline]] static void run(Cpu* c, Insn* i, T v) {
        Popcnt::put<T>(c, i, swapped<T>(v));
    }
};
struct Crc32 {
    template <typename T>
    [[gnu::always_inline]] static void run(Cpu* c, Insn* i, T v) {
        u64 crc = reg<u32>(c, i->dst);
        if constexpr (sizeof(T) == 1)
            asm("crc32b %1, %k0" : "+r"(crc) : "q"(v));
        else if constexpr (sizeof(T) == 2)
            asm("crc32w %1, %k0" : "+r"(crc) : "r"(v));
        else if constexpr (sizeof(T) == 4)
            asm("crc32l %1, %k0" : "+r"(crc) : "r"(v));
        else
            asm("crc32q %1, %0" : "+r"(crc) : "r"(v));
        reg<u64>(c, i->dst) = static_cast<u32>(crc);
    }
};

template <class Op, typename T>
void unary_r(Cpu* c, Insn* i) {
    Op::template run<T>(c, i, reg<T>(c, i->src));
    return next(c, i);
}
template <class Op, typename T, Form kForm>
void unary_m(Cpu* c, Insn* i) {
    return with_load<T, kForm>(
        c, i, unary_m<Op, T, Form::kGeneral>,
        [ c, i ](T v) __attribute__((always_inline)) { Op::template run<T>(c, i, v); });
}
template <class Op, typename T>
Handler pick_unary_of(const SseChoice& s) {
    if (s.form == Form::kReg) return unary_r<Op, T>;
    return by_form<u32>(s.form, []<Form kForm>() -> Handler { return unary_m<Op, T, kForm>; });
}
template <class Op>
Handler pick_unary(const SseChoice& s) {
    if (s.wide) return pick_unary_of<Op, u64>(s);
    return s.operand16 ? pick_unary_of<Op, u16>(s) : pick_unary_of<Op, u32>(s);
}
Handler pick_crc32_byte(const SseChoice& s) { return pick_unary_of<Crc32, u8>(s); }

template <typename T, bool kSwap, Form kForm>
void store_gpr(Cpu* c, Insn* i) {
    const T v = reg<T>(c, i->src);
    return with_store<T, kForm>(c, i, store_gpr<T, kSwap, Form::kGeneral>, kSwap ? swapped<T>(v) : v);
}
template <typename T, bool kSwap>
Handler pick_store_of(const SseChoice& s) {
    return by_form<u32>(s.form, []<Form kForm>() -> Handler { return store_gpr<T, kSwap, kForm>; });
}
Handler pick_movbe_store(const SseChoice& s) {
    if (s.wide) return pick_store_of<u64, true>(s);
    return s.operand16 ? pick_store_of<u16, true>(s) : pick_store_of<u32, true>(s);
}
Handler pick_movnti(const SseChoice& s) { return s.wide ? pick_store_of<u64, false>(s) : pick_store_of<u32, false>(s); }

[[gnu::noinline]] void run_ldmxcsr(Cpu* c, const Insn* i) {
    sse_require(c);
    const u32 v = c->read<u32>(static_cast<Seg>(i->seg), offset_of(c, i));
    if ((v & ~mxcsr_writable(*c->model)) != 0) c->raise(kGp, 0);
    set_mxcsr(c, v);
}
void ldmxcsr(Cpu* c, Insn* i) {
    mark(c, i);
    run_ldmxcsr(c, i);
    return next_checked(c, i);
}
[[gnu::noinline]] void run_stmxcsr(Cpu* c, const Insn* i) {
    sse_require(c);
    c->write<u32>(static_cast<Seg>(i->seg), offset_of(c, i), mxcsr_value(c));
}
void stmxcsr(Cpu* c, Insn* i) {
    mark(c, i);
    run_stmxcsr(c, i);
    return next_checked(c, i);
}
// Memory accesses of one processor are never seen out of order here; a cache line is never out of date.
Handler pick_nop(const SseChoice&) { return nop_handler(); }
// CLFLUSH has the checks of a byte's load.
void clflush(Cpu* c, Insn* i) {
    mark(c, i);
    (void)c->read<u8>(static_cast<Seg>(i->seg), offset_of(c, i));
    return next_checked(c, i);
}
// MONITOR and MWAIT: the wait ends at once, which is one of the ways it may end.
void monitor(Cpu* c, Insn* i) {
    mark(c, i);
    if (c->cpl != 0) c->raise(kUd);
    if (c->r32(kEcx) != 0) c->raise(kGp, 0);
    (void)c->read<u8>(static_cast<Seg>(i->seg), offset_of(c, i));
    return next_checked(c, i);
}
void mwait(Cpu* c, Insn* i) {
    mark(c, i);
    if (c->cpl != 0) c->raise(kUd);
    if ((c->r32(kEcx) & ~1u) != 0) c->raise(kGp, 0);
    if (c->several) c->pause();
    return next_checked(c, i);
}

constexpr SseEntry kEntries[] = {
    {sse_key(kMap0f, kF3, 0xb8), Feature::kPopcnt, kDstGpr | kSrcGpr, pick_unary<Popcnt>},
    {sse_key(kMap0f, kF3, 0xbd), Feature::kLzcnt, kDstGpr | kSrcGpr | kLenient, pick_unary<Lzcnt>},
    {sse_key(kMap38, k00, 0xf0), Feature::kMovbe, kDstGpr | kMemoryOnly, pick_unary<MovbeLoad>},
    {sse_key(kMap38, k66, 0xf0), Feature::kMovbe, kDstGpr | kMemoryOnly, pick_unary<MovbeLoad>},
    {sse_key(kMap38, k00, 0xf1), Feature::kMovbe, kToRm | kSrcGpr | kMemoryOnly, pick_movbe_store},
    {sse_key(kMap38, k66, 0xf1), Feature::kMovbe, kToRm | kSrcGpr | kMemoryOnly, pick_movbe_store},
    {sse_key(kMap38, kF2, 0xf0), Feature::kSse42, kDstGpr | kSrcGpr | kByteSource, pick_crc32_byte},
    {sse_key(kMap38, kF2, 0xf1), Feature::kSse42, kDstGpr | kSrcGpr, pick_unary<Crc32>},
    {sse_key(kMap0f, k00, 0xc3), Feature::kSse2, kToRm | kSrcGpr | kMemoryOnly, pick_movnti},
    {sse_key(kMap0f, k00, 0x0d), Feature::kPrefetch3dnow, kMemoryOnly, pick_nop},
};

}  // namespace

std::span<const SseEntry> sse_gpr_entries() { return kEntries; }

Handler ldmxcsr_handler() { return ldmxcsr; }
Handler stmxcsr_handler() { return stmxcsr; }
Handler clflush_handler() { return clflush; }
Handler monitor_handler(bool wait) { return wait ? mwait : monitor; }

}  // namespace backplane::interp
