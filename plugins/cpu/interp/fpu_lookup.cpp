// Opcode map of the x87 escapes D8..DF. Handlers are looked up when the engine
// decodes, so a chain of small maps is fast enough.
#include <initializer_list>

#include "fpu_internal.hpp"

namespace backplane::interp {

FpuEntry fpu_lookup(std::uint8_t opcode, std::uint8_t modrm) noexcept {
    if (opcode < 0xd8 || opcode > 0xdf) return {};
    for (const auto lookup : {x87::lookup_arithmetic, x87::lookup_compare, x87::lookup_transfer, x87::lookup_move,
                              x87::lookup_transcendental, x87::lookup_control}) {
        if (const FpuEntry entry = lookup(opcode, modrm); entry.handler != nullptr) return entry;
    }
    return {};
}

}  // namespace backplane::interp
