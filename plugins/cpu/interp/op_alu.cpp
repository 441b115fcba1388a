// Integer arithmetic and logic: ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NOT NEG.
#include "flags.hpp"
#include "ops.hpp"

namespace backplane::interp {
namespace {

template <Alu kOp>
inline constexpr bool kWrites = kOp != Alu::kCmp&& kOp != Alu::kTest;

template <Alu kOp, typename T>
[[gnu::always_inline]] inline T alu(Cpu* c, T a, T b) {
    if constexpr (kOp == Alu::kAdd)
        return do_add<T>(c, a, b);
    else if constexpr (kOp == Alu::kAdc)
        return do_add<T>(c, a, b, get_cf(c));
    else if constexpr (kOp == Alu::kSub || kOp == Alu::kCmp)
        return do_sub<T>(c, a, b);
    else if constexpr (kOp == Alu::kSbb)
        return do_sub<T>(c, a, b, get_cf(c));
    else if constexpr (kOp == Alu::kOr)
        return do_logic<T>(c, static_cast<T>(a | b));
    else if constexpr (kOp == Alu::kXor)
        return do_logic<T>(c, static_cast<T>(a ^ b));
    else
        return do_logic<T>(c, static_cast<T>(a & b));
}

template <Alu kOp, typename T>
void alu_rr(Cpu* c, Insn* i) {
    auto&& d = reg<T>(c, i->dst);
    const T r = alu<kOp, T>(c, d, reg<T>(c, i->src));
    if constexpr (kWrites<kOp>) d = r;
    return next(c, i);
}
template <Alu kOp, typename T>
void alu_ri(Cpu* c, Insn* i) {
    auto&& d = reg<T>(c, i->dst);
    const T r = alu<kOp, T>(c, d, immediate<T>(i));
    if constexpr (kWrites<kOp>) d = r;
    return next(c, i);
}
template <Alu kOp, typename T, Form kForm>
void alu_rm(Cpu* c, Insn* i) {
    return with_load<T, kForm>(
        c, i, alu_rm<kOp, T, Form::kGeneral>, [ c, i ](T v) __attribute__((always_inline)) {
            auto&& d = reg<T>(c, i->dst);
            const T r = alu<kOp, T>(c, d, v);
            if constexpr (kWrites<kOp>) d = r;
        });
}
template <Alu kOp, typename T, Form kForm, bool kImm>
void alu_mx(Cpu* c, Insn* i) {
    const T b = kImm ? immediate<T>(i) : reg<T>(c, i->src);
    if constexpr (kWrites<kOp>) {
        return with_update<T, kForm>(
            c, i, alu_mx<kOp, T, Form::kGeneral, kImm>,
            [ c, b ](T v) __attribute__((always_inline)) { return alu<kOp, T>(c, v, b); });
    } else {
        return with_load<T, kForm>(
            c, i, alu_mx<kOp, T, Form::kGeneral, kImm>,
            [ c, b ](T v) __attribute__((always_inline)) { alu<kOp, T>(c, v, b); });
    }
}

template <Unary kOp, typename T>
[[gnu::always_inline]] inline T unary(Cpu* c, T a) {
    if constexpr (kOp == Unary::kInc)
        return do_inc<T>(c, a);
    else if constexpr (kOp == Unary::kDec)
        return do_dec<T>(c, a);
    else if constexpr (kOp == Unary::kNeg)
        return do_sub<T>(c, T{0}, a);
    else
        return static_cast<T>(~a);
}
template <Unary kOp, typename T>
void unary_r(Cpu* c, Insn* i) {
    auto&& d = reg<T>(c, i->dst);
    d = unary<kOp, T>(c, d);
    return next(c, i);
}
template <Unary kOp, typename T, Form kForm>
void unary_m(Cpu* c, Insn* i) {
    return with_update<T, kForm>(
        c, i, unary_m<kOp, T, Form::kGeneral>, [c](T v) __attribute__((always_inline)) { return unary<kOp, T>(c, v); });
}

template <Alu kOp>
Handler alu_of(AluForm operands, unsigned size, Form form) {
    return by_size(size, [=]<typename T>() -> Handler {
        if (operands == AluForm::kRegReg) return alu_rr<kOp, T>;
        if (operands == AluForm::kRegImm) return alu_ri<kOp, T>;
        return by_form<T>(form, [=]<Form kForm>() -> Handler {
            if (operands == AluForm::kRegMem) return alu_rm<kOp, T, kForm>;
            if (operands == AluForm::kMemReg) return alu_mx<kOp, T, kForm, false>;
            return alu_mx<kOp, T, kForm, true>;
        });
    });
}

template <Unary kOp>
Handler unary_of(unsigned size, Form form) {
    return by_size(size, [=]<typename T>() -> Handler {
        if (form == Form::kReg) return unary_r<kOp, T>;
        return by_form<T>(form, []<Form kForm>() -> Handler { return unary_m<kOp, T, kForm>; });
    });
}

}  // namespace

Handler alu_handler(Alu op, AluForm operands, unsigned size, Form form) {
    switch (op) {
        case Alu::kAdd: return alu_of<Alu::kAdd>(operands, size, form);
        case Alu::kOr: return alu_of<Alu::kOr>(operands, size, form);
        case Alu::kAdc: return alu_of<Alu::kAdc>(operands, size, form);
        case Alu::kSbb: return alu_of<Alu::kSbb>(operands, size, form);
        case Alu::kAnd: return alu_of<Alu::kAnd>(operands, size, form);
        case Alu::kSub: return alu_of<Alu::kSub>(operands, size, form);
        case Alu::kXor: return alu_of<Alu::kXor>(operands, size, form);
        case Alu::kCmp: return alu_of<Alu::kCmp>(operands, size, form);
        case Alu::kTest: break;
    }
    return alu_of<Alu::kTest>(operands, size, form);
}

Handler unary_handler(Unary op, unsigned size, Form form) {
    switch (op) {
        case Unary::kInc: return unary_of<Unary::kInc>(size, form);
        case Unary::kDec: return unary_of<Unary::kDec>(size, form);
        case Unary::kNot: return unary_of<Unary::kNot>(size, form);
        case Unary::kNeg: break;
    }
    return unary_of<Unary::kNeg>(size, form);
}

}  // namespace backplane::interp
