#include "cpumodel/cpumodel.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace backplane::cpumodel {

namespace {

std::string plain(std::string_view name) {
    std::string out(name);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        if (c == '-' || c == '.') c = '_';
    }
    return out;
}

// Changes of one letter that make one word of the other.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t corner = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = corner + (a[i] == b[j] ? 0 : 1);
            corner = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

struct Nearest {
    std::string wanted;
    std::string_view best;
    std::size_t far;

    // One change for three letters; of a short word, one.
    explicit Nearest(std::string_view name) : wanted(plain(name)), far(std::max<std::size_t>(1, name.size() / 3) + 1) {}
    void offer(std::string_view candidate) {
        const std::size_t d = distance(wanted, candidate);
        if (d >= far) return;
        far = d;
        best = candidate;
    }
    [[nodiscard]] std::string question() const {
        return best.empty() ? "" : "; did you mean `" + std::string(best) + "`?";
    }
};

// An alias in leaf 80000001 goes with its bit in leaf 1.
void set_feature(CpuModel& m, const FeatureInfo& f, bool on) {
    const u32 bit = 1u << f.bit;
    u32& word = word_of(m, f.word);
    word = on ? word | bit : word & ~bit;
    if (f.word == Word::k1Edx && (kAliasBits & bit) != 0) {
        if (!on) m.extended_edx &= ~bit;
        if (on && m.vendor[0] == 'A' && m.extended_level != 0) m.extended_edx |= bit;
    }
    if (!on) return;
    // The leaf must be there, with XSAVE the one that tells of its area, and with long mode that of addresses' widths.
    if (f.word == Word::k7Ebx || f.word == Word::k7Ecx) m.level = std::max(m.level, 7u);
    if (f.word == Word::kXsaveEax || f.name == "xsave") m.level = std::max(m.level, 0xdu);
    if (f.word != Word::kExtendedEdx && f.word != Word::kExtendedEcx && f.word != Word::kPowerEdx) return;
    u32 least = 0x80000001u;
    if (f.word == Word::kPowerEdx) least = 0x80000007u;
    if (f.name == "lm") least = 0x80000008u, m.physical_bits = std::max(m.physical_bits, 40u);
    m.extended_level = std::max(m.extended_level, least);
}

}  // namespace

Words words_of(const CpuModel& m) {
    Words words;
    for (unsigned n = 0; n < words.size(); ++n) words[n] = word_of(m, static_cast<Word>(n));
    return words;
}
void set_words(CpuModel& m, const Words& words) {
    for (unsigned n = 0; n < words.size(); ++n) word_of(m, static_cast<Word>(n)) = words[n];
}
u32 word_of(const CpuModel& m, Word word) { return word_of(const_cast<CpuModel&>(m), word); }
u32& word_of(CpuModel& m, Word word) {
    switch (word) {
        case Word::k1Edx: return m.features_edx;
        case Word::k1Ecx: return m.features_ecx;
        case Word::kExtendedEdx: return m.extended_edx;
        case Word::kExtendedEcx: return m.extended_ecx;
        case Word::k7Ebx: return m.structured_ebx;
        case Word::k7Ecx: return m.structured_ecx;
        case Word::kXsaveEax: return m.xsave_eax;
        case Word::kPowerEdx: break;
    }
    return m.power_edx;
}

const CpuModel* find_model(std::string_view name) {
    for (const CpuModel& m : models())
        if (m.name == name) return &m;
    return nullptr;
}

const FeatureInfo* find_feature(std::string_view name) {
    const std::string wanted = plain(name);
    for (const FeatureInfo& f : features()) {
        if (f.name == wanted || std::find(f.also.begin(), f.also.end(), wanted) != f.also.end()) return &f;
    }
    return nullptr;
}

std::string feature_names(const CpuModel& m) {
    std::string text;
    for (const FeatureInfo& f : features()) {
        if (has(m, f)) text += (text.empty() ? "" : " ") + std::string(f.name);
    }
    return text;
}

std::string did_you_mean_model(std::string_view name) {
    Nearest nearest(name);
    for (const CpuModel& m : models()) nearest.offer(m.name);
    return nearest.question();
}

std::string did_you_mean_feature(std::string_view name) {
    Nearest nearest(name);
    for (const FeatureInfo& f : features()) {
        if (!f.absent.empty()) continue;
        nearest.offer(f.name);
        for (const std::string_view other : f.also) nearest.offer(other);
    }
    return nearest.question();
}

std::vector<Change> changes(std::string_view text) {
    std::vector<Change> all;
    for (std::size_t at = text.find(','); at != std::string_view::npos;) {
        const std::size_t end = text.find(',', at + 1);
        std::string_view item = text.substr(at + 1, end == std::string_view::npos ? end : end - at - 1);
        at = end;
        Change change;
        change.text = item;
        if (item.starts_with('+') || item.starts_with('-')) {
            change.on = item[0] == '+';
            change.name = item.substr(1);
            change.valid = !change.name.empty();
        } else {
            const std::size_t equals = item.find('=');
            const std::string_view value = equals == std::string_view::npos ? "" : item.substr(equals + 1);
            change.name = item.substr(0, equals);
            change.on = value == "on";
            change.valid = value == "on" || value == "off";
        }
        all.push_back(std::move(change));
    }
    return all;
}

namespace {

// Names of all that a feature needs and the model has not, nearest first.
void collect_missing(const CpuModel& m, const FeatureInfo& f, std::vector<std::string_view>& missing) {
    for (const std::string_view need : f.needs) {
        if (std::find(missing.begin(), missing.end(), need) != missing.end()) continue;
        const FeatureInfo* needed = find_feature(need);
        if (needed != nullptr && has(m, *needed)) continue;
        missing.push_back(need);
        if (needed != nullptr) collect_missing(m, *needed, missing);
    }
}

}  // namespace

std::vector<std::string_view> missing(const CpuModel& m) {
    std::vector<std::string_view> all;
    for (const FeatureInfo& f : features()) {
        if (has(m, f)) collect_missing(m, f, all);
        if (!all.empty()) break;
    }
    return all;
}

std::string unmet(const CpuModel& m) {
    const std::vector<std::string_view> all = missing(m);
    if (all.empty()) return "";
    const FeatureInfo* whose = nullptr;
    for (const FeatureInfo& f : features()) {
        if (has(m, f) && std::find(f.needs.begin(), f.needs.end(), all[0]) != f.needs.end()) {
            whose = &f;
            break;
        }
    }
    std::string text = "the feature `" + std::string(whose->name) + "` needs ";
    for (std::size_t n = 0; n < all.size(); ++n) {
        if (n != 0) text += n + 1 == all.size() ? " and " : ", ";
        text += "`" + std::string(all[n]) + "`";
    }
    return text;
}

Selection select(std::string_view text) {
    Selection result;
    const std::string name(text.substr(0, text.find(',')));
    const CpuModel* found = find_model(name);
    if (found == nullptr) {
        std::string known;
        for (const CpuModel& m : models()) known += (known.empty() ? "" : ", ") + std::string(m.name);
        result.error = "unknown CPU model `" + name + "`" + did_you_mean_model(name);
        result.error += (result.error.ends_with('?') ? " Known: " : "; known: ") + known;
        return result;
    }
    result.model = *found;
    for (const Change& change : changes(text)) {
        if (!change.valid) {
            result.error = "CPU model `" + name + "`: `" + change.text +
                           "` is no change of a feature; write `+feature` or `-feature`";
            return result;
        }
        const FeatureInfo* f = find_feature(change.name);
        if (f == nullptr) {
            result.error =
                "CPU model `" + name + "`: unknown feature `" + change.name + "`" + did_you_mean_feature(change.name);
            return result;
        }
        if (!f->absent.empty()) {
            if (!change.on) continue;  // it is off
            result.error = "CPU model `" + name + "`: the feature `" + change.name +
                           "` is not emulated: " + std::string(f->absent);
            return result;
        }
        set_feature(result.model, *f, change.on);
    }
    const std::string missing = unmet(result.model);
    if (!missing.empty()) result.error = "CPU model `" + name + "`: " + missing;
    return result;
}

}  // namespace backplane::cpumodel
