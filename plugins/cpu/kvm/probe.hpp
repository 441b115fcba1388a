// Whether KVM works at all: three tiny guests, one a mode. Some hosts offer the device and then run nothing, or not all
// modes (processors without "unrestricted guest", hypervisors below this one).
#pragma once

#include <string>
#include <vector>

#include "features.hpp"
#include "vm.hpp"

namespace backplane::kvm {

// Empty, or what does not work.
[[nodiscard]] std::string probe(const char* device);

[[nodiscard]] CpuidTable supported_cpuid(const Host& host);

}  // namespace backplane::kvm
