// CPU models: what CPUID shows and which instructions exist. Models and features are data (cpus/*.yaml), which the
// build turns into the tables behind the functions here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace backplane::cpumodel {

using u8 = std::uint8_t;
using u32 = std::uint32_t;

// A leaf with constant data.
struct LeafData {
    u32 number, index;
    u32 registers[4];  // EAX, EBX, ECX, EDX
};

struct CpuModel {
    std::string_view name;
    std::string_view doc;
    std::string_view source;
    char vendor[13];
    u32 level;         // highest basic leaf
    u32 version;       // leaf 1 EAX
    u32 features_edx;  // leaf 1
    u32 features_ecx;
    u32 extended_level;  // 0: no extended leaves
    u32 extended_edx, extended_ecx;
    u32 power_edx;                       // leaf 80000007
    u32 structured_ebx, structured_ecx;  // leaf 7
    u32 xsave_eax;                       // leaf 0D, part 1
    u32 physical_bits;
    std::string_view brand;
    std::span<const LeafData> leaves;
};

// A word of feature bits: leaf and register.
enum class Word : u8 { k1Edx, k1Ecx, kExtendedEdx, kExtendedEcx, kPowerEdx, k7Ebx, k7Ecx, kXsaveEax };
[[nodiscard]] u32& word_of(CpuModel& model, Word word);
[[nodiscard]] u32 word_of(const CpuModel& model, Word word);

// All of them, in that order.
using Words = std::array<u32, 8>;
[[nodiscard]] Words words_of(const CpuModel& model);
void set_words(CpuModel& model, const Words& words);

struct FeatureInfo {
    std::string_view name;                    // as Linux's /proc/cpuinfo shows it
    std::span<const std::string_view> also;   // other names
    std::span<const std::string_view> needs;  // features without which it makes no sense
    std::string_view absent;                  // why the engine does not have it; empty: it does
    Word word;
    u8 bit;  // kNoBit: in a leaf that no model reaches

    static constexpr u8 kNoBit = 32;
};
[[nodiscard]] inline bool has(const CpuModel& m, const FeatureInfo& f) {
    return f.bit != FeatureInfo::kNoBit && (word_of(m, f.word) >> f.bit & 1u) != 0;
}

// The bits that processors of AMD show in leaf 80000001 EDX as in leaf 1 EDX (APM 3, E.4.2).
inline constexpr u32 kAliasBits = 0x0183f3ff;

[[nodiscard]] std::span<const CpuModel> models();
[[nodiscard]] std::span<const FeatureInfo> features();
[[nodiscard]] const CpuModel* find_model(std::string_view name);
// By any of its names; upper case, '-' and '.' do not matter.
[[nodiscard]] const FeatureInfo* find_feature(std::string_view name);
// Names of the features that a model announces, by word and bit.
[[nodiscard]] std::string feature_names(const CpuModel& model);

// "MODEL", "MODEL,+feature,-feature", "MODEL,feature=on,feature=off".
struct Selection {
    CpuModel model{};
    std::string error;  // empty: `model` holds
};
[[nodiscard]] Selection select(std::string_view text);
// The changes in the text behind the model's name, as (feature, on); false in `valid` if one is no change of a feature.
struct Change {
    std::string text;  // as it was written
    std::string name;
    bool on = false;
    bool valid = false;
};
[[nodiscard]] std::vector<Change> changes(std::string_view text);
// What is missing in the model for the first of its features that lacks something, nearest first.
[[nodiscard]] std::vector<std::string_view> missing(const CpuModel& model);
// The same as a sentence; empty if nothing is.
[[nodiscard]] std::string unmet(const CpuModel& model);
// "; did you mean `x`?" or nothing.
[[nodiscard]] std::string did_you_mean_model(std::string_view name);
[[nodiscard]] std::string did_you_mean_feature(std::string_view name);

}  // namespace backplane::cpumodel
