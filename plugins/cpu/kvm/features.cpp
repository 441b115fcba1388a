#include "features.hpp"

#include <algorithm>
#include <array>

namespace backplane::kvm {
namespace {

// They describe the machine and take nothing of the host; KVM does not list them.
constexpr std::array<std::string_view, 6> kDescriptions = {"ss", "ht", "mp", "cmp_legacy", "hypervisor", "invtsc"};

const kvm_cpuid_entry2* find(std::span<const kvm_cpuid_entry2> table, u32 leaf) {
    const auto found = std::find_if(table.begin(), table.end(),
                                    [leaf](const kvm_cpuid_entry2& e) { return e.function == leaf && e.index == 0; });
    return found == table.end() ? nullptr : &*found;
}

// The host's word; all ones for words that are none of the host's business.
u32 host_word(std::span<const kvm_cpuid_entry2> table, cpumodel::Word word) {
    const auto at = [&](u32 leaf, __u32 kvm_cpuid_entry2::*reg) {
        const kvm_cpuid_entry2* e = find(table, leaf);
        return e == nullptr ? 0 : e->*reg;
    };
    switch (word) {
        case cpumodel::Word::k1Edx: return at(1, &kvm_cpuid_entry2::edx);
        case cpumodel::Word::k1Ecx: return at(1, &kvm_cpuid_entry2::ecx);
        case cpumodel::Word::kExtendedEdx: return at(0x80000001u, &kvm_cpuid_entry2::edx);
        case cpumodel::Word::kExtendedEcx: return at(0x80000001u, &kvm_cpuid_entry2::ecx);
        case cpumodel::Word::k7Ebx: return at(7, &kvm_cpuid_entry2::ebx);
        case cpumodel::Word::k7Ecx: return at(7, &kvm_cpuid_entry2::ecx);
        case cpumodel::Word::kXsaveEax: {
            const auto e = std::find_if(table.begin(), table.end(),
                                        [](const kvm_cpuid_entry2& c) { return c.function == 0xd && c.index == 1; });
            return e == table.end() ? 0 : e->eax;
        }
        default: return ~0u;
    }
}

void take_away(cpumodel::CpuModel& model, const cpumodel::FeatureInfo& f) {
    const u32 bit = 1u << f.bit;
    word_of(model, f.word) &= ~bit;
    if (f.word == cpumodel::Word::k1Edx) model.extended_edx &= ~(bit & cpumodel::kAliasBits);
}

bool lacks_a_need(const cpumodel::CpuModel& model, const cpumodel::FeatureInfo& f) {
    return std::any_of(f.needs.begin(), f.needs.end(), [&](std::string_view name) {
        const cpumodel::FeatureInfo* need = cpumodel::find_feature(name);
        return need != nullptr && !has(model, *need);
    });
}

// Leaves whose parts are told apart by ECX.
bool has_parts(u32 leaf) { return leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd; }
u32 parts_at_most(u32 leaf) { return leaf == 0xd ? 63 : leaf == 7 ? 2 : 8; }
bool is_last_part(u32 leaf, const u32 (&r)[4]) {
    return (leaf == 4 && (r[0] & 31u) == 0) || (leaf == 0xb && (r[2] & 0xff00u) == 0);
}

}  // namespace

std::vector<std::string_view> restrict_model(cpumodel::CpuModel& model, std::span<const kvm_cpuid_entry2> supported) {
    std::vector<std::string_view> missing;
    bool again = false;
    do {
        again = false;
        for (const cpumodel::FeatureInfo& f : cpumodel::features()) {
            if (!has(model, f)) continue;
            if (std::find(kDescriptions.begin(), kDescriptions.end(), f.name) != kDescriptions.end()) continue;
            const bool there = (host_word(supported, f.word) >> f.bit & 1u) != 0;
            // What the model itself announces without its needs is the model's business.
            const bool unfounded = !missing.empty() && lacks_a_need(model, f) &&
                                   std::any_of(f.needs.begin(), f.needs.end(), [&](std::string_view need) {
                                       return std::find(missing.begin(), missing.end(), need) != missing.end();
                                   });
            if (there && !unfounded) continue;
            take_away(model, f);
            missing.push_back(f.name);
            again = true;
        }
    } while (again);
    return missing;
}

CpuidTable cpuid_table(const cpumodel::CpuModel& model, const LeafFunction& leaf) {
    CpuidTable table;
    const auto add = [&](u32 number) {
        const u32 parts = has_parts(number) ? parts_at_most(number) : 1;
        for (u32 part = 0; part < parts; ++part) {
            u32 r[4] = {};
            leaf(number, part, r);
            if (part > 1 && number == 0xd && r[0] == 0 && r[1] == 0 && r[2] == 0 && r[3] == 0) continue;
            kvm_cpuid_entry2 e{};
            e.function = number;
            e.index = part;
            e.flags = has_parts(number) ? u32{KVM_CPUID_FLAG_SIGNIFCANT_INDEX} : 0u;
            e.eax = r[0], e.ebx = r[1], e.ecx = r[2], e.edx = r[3];
            table.push_back(e);
            if (is_last_part(number, r)) break;
        }
    };
    for (u32 n = 0; n <= model.level; ++n) add(n);
    if (model.extended_level >= 0x80000000u)
        for (u32 n = 0x80000000u; n <= model.extended_level; ++n) add(n);
    return table;
}

}  // namespace backplane::kvm
