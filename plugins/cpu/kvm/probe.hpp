// Whether KVM works at all: tiny guests, one a mode. Some hosts offer the device and then run nothing, or not all modes
// (processors without "unrestricted guest"), or interpret guests that do not know them (KVM without virtualization of
// the processor).
#pragma once

#include <string>
#include <vector>

#include "features.hpp"
#include "vm.hpp"

namespace backplane::kvm {

struct Probed {
    std::string failed;  // empty, or what does not work
    std::string slow;    // empty, or what the interpreter does faster
};
// Found out once: each processor of a board asks.
[[nodiscard]] const Probed& probe(const char* device);

[[nodiscard]] CpuidTable supported_cpuid(const Host& host);

}  // namespace backplane::kvm
