// Which extensions a CPU model announces, and whether the host can compute them.
#include <cpuid.h>

#include "cpu.hpp"

namespace backplane::interp {

bool has_feature(const CpuModel& m, Feature feature) {
    const auto bit = [](u32 word, unsigned n) { return (word >> n & 1u) != 0; };
    switch (feature) {
        case Feature::kNone: return true;
        case Feature::kSse: return (m.features_edx & kFeatSse) != 0;
        case Feature::kSse2: return (m.features_edx & kFeatSse2) != 0;
        case Feature::kClflush: return (m.features_edx & kFeatClflush) != 0;
        case Feature::kSse3: return bit(m.features_ecx, 0);
        case Feature::kPclmul: return bit(m.features_ecx, 1);
        case Feature::kMonitor: return bit(m.features_ecx, 3);
        case Feature::kSsse3: return bit(m.features_ecx, 9);
        case Feature::kSse41: return bit(m.features_ecx, 19);
        case Feature::kSse42: return bit(m.features_ecx, 20);
        case Feature::kMovbe: return bit(m.features_ecx, 22);
        case Feature::kPopcnt: return bit(m.features_ecx, 23);
        case Feature::kAes: return bit(m.features_ecx, 25);
        case Feature::kLzcnt: return bit(m.extended_ecx, 5);
        case Feature::kSse4a: return bit(m.extended_ecx, 6);
        case Feature::kMmxExtensions: return (m.features_edx & kFeatSse) != 0 || bit(m.extended_edx, 22);
        case Feature::k3dnow: return bit(m.extended_edx, 31);
        case Feature::k3dnowExtensions: return bit(m.extended_edx, 30);
        case Feature::kXsave: return bit(m.features_ecx, 26);
        case Feature::kXsaveopt: return bit(m.xsave_eax, 0);
        case Feature::kAvx: return bit(m.features_ecx, 28);
        case Feature::kF16c: return bit(m.features_ecx, 29);
        case Feature::kRdrand: return bit(m.features_ecx, 30);
        case Feature::kFma: return bit(m.features_ecx, 12);
        case Feature::kFsgsbase: return bit(m.structured_ebx, 0);
        case Feature::kSmep: return bit(m.structured_ebx, 7);
        case Feature::kUmip: return bit(m.structured_ecx, 2);
        case Feature::kBmi1: return bit(m.structured_ebx, 3);
        case Feature::kAvx2: return bit(m.structured_ebx, 5);
        case Feature::kBmi2: return bit(m.structured_ebx, 8);
        case Feature::kRdseed: return bit(m.structured_ebx, 18);
        case Feature::kAdx: return bit(m.structured_ebx, 19);
        // PREFETCH and PREFETCHW: with 3DNow!, long mode or a bit of their own (AMD APM 3, PREFETCH).
        case Feature::kPrefetch3dnow:
            return bit(m.extended_edx, 31) || bit(m.extended_edx, 29) || bit(m.extended_ecx, 8);
    }
    return false;
}

std::string sse_host_missing(const CpuModel& model) {
    struct Need {
        Feature feature;
        unsigned host_bit;  // leaf 1 ECX
        const char* name;
    };
    // SSE and SSE2 are part of x86-64. What is not in this list is computed without the host's help.
    static constexpr Need kNeeds[] = {{Feature::kSse3, 0, "SSE3"},     {Feature::kPclmul, 1, "PCLMULQDQ"},
                                      {Feature::kSsse3, 9, "SSSE3"},   {Feature::kSse41, 19, "SSE4.1"},
                                      {Feature::kSse42, 20, "SSE4.2"}, {Feature::kPopcnt, 23, "POPCNT"},
                                      {Feature::kAes, 25, "AES"}};
    // Shuffles of SSE and SSE2 are done with PSHUFB. AVX has forms of all that came before it, AES and PCLMULQDQ apart;
    // FMA and F16C are computed without the host if need be.
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    __get_cpuid(1, &eax, &ebx, &ecx, &edx);
    std::string missing;
    for (const Need& need : kNeeds) {
        const bool with_avx = need.feature >= Feature::kSse3 && need.feature <= Feature::kSse42;
        const bool wanted = has_feature(model, need.feature) ||
                            (need.feature == Feature::kSsse3 && has_feature(model, Feature::kSse)) ||
                            (with_avx && has_feature(model, Feature::kAvx));
        if (!wanted || (ecx >> need.host_bit & 1u) != 0) continue;
        if (!missing.empty()) missing += ", ";
        missing += need.name;
    }
    return missing;
}

}  // namespace backplane::interp
