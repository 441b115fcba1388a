// Compare-and-branch pairs outside 64-bit mode.
#include "op_branch.hpp"

namespace backplane::interp {

Handler fused_handler(Alu op, AluForm operands, unsigned size, Form form, unsigned code, bool long_mode) {
    const unsigned kind = code >> 1;
    if ((op != Alu::kCmp && op != Alu::kTest) || kind == 0 || kind == 5) return nullptr;
    const bool fast =
        long_mode ? form == Form::kLong || form == Form::kLongIndex : form == Form::kFlat || form == Form::kFlatIndex;
    if (!fast && operands != AluForm::kRegReg && operands != AluForm::kRegImm) return nullptr;
    if (long_mode) return fused_long(op, operands, size, form, code);
    return by_number<16>(code, [=]<std::size_t kCode>() -> Handler {
        return by_size(size, [=]<typename T>() -> Handler {
            if constexpr (sizeof(T) == 8)
                return nullptr;
            else
                return op == Alu::kTest ? fused_of<true, kCode, u32, T>(operands, form)
                                        : fused_of<false, kCode, u32, T>(operands, form);
        });
    });
}
}  // namespace backplane::interp
