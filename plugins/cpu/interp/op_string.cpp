// String instructions. Each iteration of a REP counts as one instruction and can be interrupted; registers are up to
// date after every iteration, so a fault in the middle resumes exactly there. Whole pages go by memcpy and friends.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

enum class Str : u8 { kMovs, kCmps, kStos, kLods, kScas, kIns, kOuts };

// A is as wide as addresses: u16, u32 or u64.
template <typename A>
struct Regs {
    static A get(Cpu* c, unsigned n) { return static_cast<A>(c->gpr[n]); }
    static void set(Cpu* c, unsigned n, u64 v) { reg<A>(c, n * 8) = static_cast<A>(v); }
    static void add(Cpu* c, unsigned n, u64 v) { set(c, n, get(c, n) + v); }
};

// One iteration, any circumstances.
template <Str kOp, typename T, typename A>
void element(Cpu* c, const Insn* i) {
    using R = Regs<A>;
    const u64 step = (c->eflags_rest & kDf) != 0 ? 0 - sizeof(T) : sizeof(T);
    const Seg from = static_cast<Seg>(i->seg);
    const A si = R::get(c, kEsi);
    const A di = R::get(c, kEdi);
    if constexpr (kOp == Str::kMovs) {
        c->write<T>(kEs, di, c->read<T>(from, si));
        R::add(c, kEsi, step);
        R::add(c, kEdi, step);
    } else if constexpr (kOp == Str::kCmps) {
        const T b = c->read<T>(kEs, di);  // processors fault on this side first
        do_sub<T>(c, c->read<T>(from, si), b);
        R::add(c, kEsi, step);
        R::add(c, kEdi, step);
    } else if constexpr (kOp == Str::kStos) {
        c->write<T>(kEs, di, reg<T>(c, 0));
        R::add(c, kEdi, step);
    } else if constexpr (kOp == Str::kLods) {
        reg<T>(c, 0) = c->read<T>(from, si);
        R::add(c, kEsi, step);
    } else if constexpr (kOp == Str::kScas) {
        do_sub<T>(c, reg<T>(c, 0), c->read<T>(kEs, di));
        R::add(c, kEdi, step);
    } else if constexpr (kOp == Str::kIns) {
        const u32 port = c->r16(kEdx);
        c->check_io(port, sizeof(T));
        c->probe_write(kEs, di, sizeof(T));  // a fault must come before the port is read
        c->write<T>(kEs, di, static_cast<T>(c->port_in(port, sizeof(T))));
        R::add(c, kEdi, step);
    } else {
        const u32 port = c->r16(kEdx);
        c->check_io(port, sizeof(T));
        c->port_out(port, sizeof(T), static_cast<u32>(c->read<T>(from, si)));
        R::add(c, kEsi, step);
    }
}

// How many whole elements from `offset` lie in one page, one segment and one 64K wrap.
template <typename T, typename A>
u32 elements_in_page(Linear a, u64 end, A offset, u32 wanted) {
    u64 bytes = 0x1000u - (a & kPageMask);
    if (sizeof(A) == 2) bytes = std::min<u64>(bytes, 0x10000u - offset);
    if constexpr (sizeof(A) == 8) {
        if (!canonical(a)) return 0;
    } else {
        bytes = std::min<u64>(bytes, end > offset ? end - offset : 0);
    }
    return static_cast<u32>(std::min<u64>(bytes / sizeof(T), wanted));
}

// As many iterations as one page allows; 0: use element().
template <Str kOp, typename T, typename A>
u32 chunk(Cpu* c, const Insn* i, u32 wanted, bool while_equal) {
    using R = Regs<A>;
    if constexpr (kOp == Str::kIns || kOp == Str::kOuts || kOp == Str::kLods) {
        return 0;
    } else {
        if ((c->eflags_rest & kDf) != 0) return 0;
        constexpr bool kSource = kOp == Str::kMovs || kOp == Str::kCmps;
        constexpr bool kStore = kOp == Str::kMovs || kOp == Str::kStos;
        const Segment& s = c->seg[i->seg];
        const Segment& d = c->seg[kEs];
        const A si = R::get(c, kEsi);
        const A di = R::get(c, kEdi);
        // Addresses of 32 bits in 64-bit mode are rare: one by one.
        if (sizeof(A) != 8 && c->mode64) return 0;
        const Linear to = sizeof(A) == 8 ? u64{di} : static_cast<u32>(d.base + di);
        const Linear from = sizeof(A) == 8 ? c->segment_base(i->seg) + si : static_cast<u32>(s.base + si);
        u32 n = elements_in_page<T, A>(to, kStore ? d.write_end : d.read_end, di, wanted);
        if constexpr (kSource) n = elements_in_page<T, A>(from, s.read_end, si, n);
        if (n == 0) return 0;
        const u8* src = nullptr;
        if constexpr (kOp == Str::kMovs) {
            src = host_span(c, from, false);
            if (src == nullptr) return 0;
        }
        u8* dst = host_span(c, to, kStore);
        if (dst == nullptr) return 0;
        if constexpr (kOp == Str::kCmps) {
            src = host_span(c, from, false);
            if (src == nullptr) return 0;
        }
        if constexpr (kOp == Str::kMovs) {
            const std::size_t bytes = std::size_t{n} * sizeof(T);
            if (dst > src && dst < src + bytes) {
                for (u32 k = 0; k < n; ++k) {
                    T v;
                    std::memcpy(&v, src + k * sizeof(T), sizeof v);
                    std::memcpy(dst + k * sizeof(T), &v, sizeof v);
                }
            } else {
                std::memmove(dst, src, bytes);
            }
        } else if constexpr (kOp == Str::kStos) {
            const T v = reg<T>(c, 0);
            if constexpr (sizeof(T) == 1) {
                std::memset(dst, v, n);
            } else {
                for (u32 k = 0; k < n; ++k) std::memcpy(dst + k * sizeof(T), &v, sizeof v);
            }
        } else {
            T a = reg<T>(c, 0);
            T b = 0;
            u32 k = 0;
            while (k < n) {
                if constexpr (kOp == Str::kCmps) std::memcpy(&a, src + k * sizeof(T), sizeof a);
                std::memcpy(&b, dst + k * sizeof(T), sizeof b);
                ++k;
                if ((a == b) != while_equal) break;
            }
            do_sub<T>(c, a, b);
            n = k;
        }
        const u32 bytes = n * static_cast<u32>(sizeof(T));
        if constexpr (kOp == Str::kMovs || kOp == Str::kCmps) R::add(c, kEsi, bytes);
        R::add(c, kEdi, bytes);
        return n;
    }
}

// Runs iterations; true if the instruction is finished, false if it must be entered again.
template <Str kOp, typename T, typename A>
[[gnu::noinline]] bool repeat(Cpu* c, const Insn* i) {
    using R = Regs<A>;
    constexpr bool kCompares = kOp == Str::kCmps || kOp == Str::kScas;
    const bool while_equal = (i->bits & kRepeatNe) == 0;
    A n = R::get(c, kEcx);
    if (n == 0) return true;
    // The block counted this instruction once, which stands for the iteration in progress.
    const bool stepping = (c->eflags_rest & kTf) != 0;
    for (;;) {
        const u64 room = c->vcpu->deadline - c->count + 1;
        const u32 allowed = stepping ? 1 : static_cast<u32>(std::min<u64>({n, room, 1u << 20}));
        u32 done = allowed > 1 ? chunk<kOp, T, A>(c, i, allowed, while_equal) : 0;
        if (done == 0) {
            element<kOp, T, A>(c, i);
            done = 1;
        }
        n = static_cast<A>(n - done);
        R::set(c, kEcx, n);
        c->count += done;
        if (n == 0 || (kCompares && (get_zf(c) != 0) != while_equal)) break;
        if (stepping || c->leave != 0 || c->count > c->vcpu->deadline ||
            __atomic_load_n(&c->vcpu->attention, __ATOMIC_RELAXED) != 0) {
            --c->count;
            return false;
        }
    }
    --c->count;
    return true;
}

template <Str kOp, typename T, typename A>
void op_repeat(Cpu* c, Insn* i) {
    mark(c, i);
    if (repeat<kOp, T, A>(c, i)) return next_checked(c, i);
    c->eip = c->block_eip + i->ip;
    c->eflags_rest |= kRf;  // an instruction breakpoint hits the first iteration only (SDM 3, 17.3.1.1)
    return to_loop(c, i);
}
template <Str kOp, typename T, typename A>
void op_once(Cpu* c, Insn* i) {
    mark(c, i);
    element<kOp, T, A>(c, i);
    return next_checked(c, i);
}

// Which of the variants: decided by the record, which the decoder has filled when the handler first runs.
template <Str kOp, typename T>
void op_string(Cpu* c, Insn* i) {
    const bool repeated = (i->bits & (kRepeat | kRepeatNe)) != 0;
    if ((i->bits & kAddress64) != 0)
        i->fn = repeated ? op_repeat<kOp, T, u64> : op_once<kOp, T, u64>;
    else if ((i->bits & kAddress16) != 0)
        i->fn = repeated ? op_repeat<kOp, T, u16> : op_once<kOp, T, u16>;
    else
        i->fn = repeated ? op_repeat<kOp, T, u32> : op_once<kOp, T, u32>;
    return i->fn(c, i);
}
template <Str kOp>
Handler string_of(unsigned size) {
    return by_size(size, []<typename T>() -> Handler {
        if constexpr (sizeof(T) == 8 && (kOp == Str::kIns || kOp == Str::kOuts))
            return nullptr;
        else
            return op_string<kOp, T>;
    });
}

}  // namespace

Handler string_handler(u8 opcode, unsigned size) {
    switch (opcode & 0xfeu) {
        case 0x6c: return string_of<Str::kIns>(size == 8 ? 4 : size);
        case 0x6e: return string_of<Str::kOuts>(size == 8 ? 4 : size);
        case 0xa4: return string_of<Str::kMovs>(size);
        case 0xa6: return string_of<Str::kCmps>(size);
        case 0xaa: return string_of<Str::kStos>(size);
        case 0xac: return string_of<Str::kLods>(size);
        default: return string_of<Str::kScas>(size);
    }
}

}  // namespace backplane::interp
