// The registers that a debugger sees, by the names that it and other machines' stubs give them.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/abi/cpu_state.h"
#include "backplane/types.hpp"

namespace backplane::gdb {

struct Register {
    std::string name;
    unsigned bits;
    std::string type;     // of the description's types
    std::string group;    // "general", "float", "vector", "system" or "" for the debugger's own choice
    std::string feature;  // of the description
    // `bytes` holds bits / 8 bytes, little-endian. write() returns false for a value that cannot be.
    std::function<void(const bp_x86_state& s, u8* bytes)> read;
    std::function<bool(bp_x86_state& s, const u8* bytes)> write;
};

// In the order of their numbers. `features`: BP_CPU_HAS_...
std::vector<Register> registers_of(u32 features);

// The description of the processor that goes to the debugger as target.xml.
std::string description_of(u32 features, const std::vector<Register>& registers);

}  // namespace backplane::gdb
