// Compare-and-branch pairs of 64-bit mode.
#include "op_branch.hpp"

namespace backplane::interp {

Handler fused_long(Alu op, AluForm operands, unsigned size, Form form, unsigned code) {
    return by_number<16>(code, [=]<std::size_t kCode>() -> Handler {
        return by_size(size, [=]<typename T>() -> Handler {
            return op == Alu::kTest ? fused_of<true, kCode, u64, T>(operands, form)
                                    : fused_of<false, kCode, u64, T>(operands, form);
        });
    });
}

}  // namespace backplane::interp
