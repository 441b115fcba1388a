// What of a CPU model the host can run, and the model as a table for KVM_SET_CPUID2.
#pragma once

#include <linux/kvm.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cpumodel/cpumodel.hpp"

namespace backplane::kvm {

using u32 = std::uint32_t;

using CpuidTable = std::vector<kvm_cpuid_entry2>;

// Takes away what the host does not support (KVM_GET_SUPPORTED_CPUID), and what makes no sense without it; returns the
// names.
std::vector<std::string_view> restrict_model(cpumodel::CpuModel& model, std::span<const kvm_cpuid_entry2> supported);

// EAX to EDX of a leaf and its part.
using LeafFunction = std::function<void(u32 leaf, u32 part, u32 (&registers)[4])>;
[[nodiscard]] CpuidTable cpuid_table(const cpumodel::CpuModel& model, const LeafFunction& leaf);

}  // namespace backplane::kvm
