// Models cut down to what a host has, and their CPUID as a table, without KVM.
#include <catch2/catch.hpp>

#include <algorithm>

#include "features.hpp"
#include "statistics.hpp"

namespace backplane::kvm {
namespace {

// A host with everything but some bits of leaf 1 ECX and of leaf 80000001h EDX.
CpuidTable host(u32 without_ecx, u32 without_extended) {
    CpuidTable t;
    t.push_back({1, 0, 0, 0, 0, ~without_ecx, ~0u, {}});
    t.push_back({0x80000001u, 0, 0, 0, 0, ~0u, ~without_extended, {}});
    return t;
}
bool names(const std::vector<std::string_view>& list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

TEST_CASE("a host that has everything leaves a model alone") {
    cpumodel::CpuModel m = cpumodel::select("core2duo").model;
    const cpumodel::CpuModel before = m;
    CHECK(restrict_model(m, host(0, 0)).empty());
    CHECK(m.features_ecx == before.features_ecx);
    CHECK(m.extended_edx == before.extended_edx);
}

TEST_CASE("what the host lacks goes, with what needs it, and is named") {
    cpumodel::CpuModel m = cpumodel::select("qemu64,+ssse3,+sse4_1").model;
    const auto missing = restrict_model(m, host(1u << 9, 0));
    CHECK(names(missing, "ssse3"));
    CHECK(names(missing, "sse4_1"));
    CHECK_FALSE(has(m, *cpumodel::find_feature("ssse3")));
    CHECK_FALSE(has(m, *cpumodel::find_feature("sse4_1")));
    CHECK(has(m, *cpumodel::find_feature("pni")));
}

TEST_CASE("without the host's CPUID nothing is left that it would have to run") {
    cpumodel::CpuModel m = cpumodel::select("qemu64").model;
    restrict_model(m, {});
    CHECK(m.features_edx == 0);
    CHECK((m.extended_edx & 1u << 29) == 0);
}

TEST_CASE("the table has every leaf of the model and the parts of the one that has parts") {
    const cpumodel::CpuModel m = cpumodel::select("core2duo").model;
    const CpuidTable t = cpuid_table(m, [](u32 leaf, u32 part, u32(&r)[4]) {
        r[0] = leaf == 4 && part < 3 ? part + 1 : leaf == 4 ? 0 : leaf;
        r[1] = r[2] = r[3] = 0;
    });
    const auto count = [&](u32 leaf) {
        return std::count_if(t.begin(), t.end(), [leaf](const kvm_cpuid_entry2& e) { return e.function == leaf; });
    };
    CHECK(count(0) == 1);
    CHECK(count(1) == 1);
    CHECK(count(4) == 4);
    CHECK(count(0x80000000u) == 1);
    CHECK(count(m.extended_level) == 1);
    CHECK(count(m.level + 1) == 0);
}

TEST_CASE("statistics name what was interpreted, and only that") {
    Statistics s;
    CHECK(s.text().find("interpreted: nothing") != std::string::npos);
    s.handed[static_cast<std::size_t>(Reason::kSmm)] = 2;
    s.instructions[static_cast<std::size_t>(Reason::kSmm)] = 300;
    CHECK(s.text().find("system-management 2 times, 300 instructions") != std::string::npos);
    CHECK(s.json().find("\"system-management\": {\"times\": 2, \"instructions\": 300}") != std::string::npos);
    CHECK(s.json().find("a20") == std::string::npos);
}

}  // namespace backplane::kvm
