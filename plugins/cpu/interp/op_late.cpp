// Small instructions of later processors: RDRAND and RDSEED, bases of FS and GS from user programs.
#include "vex_ops.hpp"

namespace backplane::interp {
namespace {

// The number is the machine's: of the host, or of its seed where runs must be repeatable. There always is one: CF is
// set.
template <typename T>
[[gnu::noinline]] void run_random(Cpu* c, const Insn* i) {
    u64 v = 0;
    if (c->host.random != nullptr) {
        c->sync_out();
        v = c->host.random(c->host.self);
    }
    if constexpr (sizeof(T) == 2)
        reg<u16>(c, i->dst) = static_cast<u16>(v);
    else
        reg<u64>(c, i->dst) = static_cast<T>(v);
    c->set_arith(kCf);
}

// RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE.
template <Seg kSeg, typename T, bool kWrite>
[[gnu::noinline]] void run_base(Cpu* c, const Insn* i) {
    if ((c->cr4 & kCr4Fsgsbase) == 0) c->raise(kUd);
    if constexpr (kWrite) {
        const u64 v = static_cast<T>(reg<T>(c, i->dst));
        if (!canonical(v)) c->raise(kGp, 0);
        c->set_segment_base(kSeg, v);
    } else {
        reg<u64>(c, i->dst) = static_cast<T>(c->seg[kSeg].base);
    }
}
template <Seg kSeg, typename T>
Handler base_of(bool write) {
    return write ? vex_body<run_base<kSeg, T, true>> : vex_body<run_base<kSeg, T, false>>;
}

}  // namespace

Handler random_handler(unsigned size) {
    return by_word(size, []<typename T>() -> Handler { return vex_body<run_random<T>>; });
}
Handler base_handler(unsigned op, unsigned size) {
    const bool write = op >= 2;
    if ((op & 1u) == 0) return size == 8 ? base_of<kFs, u64>(write) : base_of<kFs, u32>(write);
    return size == 8 ? base_of<kGs, u64>(write) : base_of<kGs, u32>(write);
}

}  // namespace backplane::interp
