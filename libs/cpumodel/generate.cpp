// Run by the build: cpus/features.yaml and cpus/models.yaml become the tables of the library. What contradicts itself
// there is an error of the build.
#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using u32 = std::uint32_t;

// By the names in the files; the order is that of cpumodel::Word.
const std::vector<std::pair<std::string, std::string>> kWords{{"1.edx", "k1Edx"},
                                                              {"1.ecx", "k1Ecx"},
                                                              {"80000001.edx", "kExtendedEdx"},
                                                              {"80000001.ecx", "kExtendedEcx"},
                                                              {"80000007.edx", "kPowerEdx"},
                                                              {"7.ebx", "k7Ebx"},
                                                              {"7.ecx", "k7Ecx"},
                                                              {"0d.1.eax", "kXsaveEax"}};
constexpr u32 kAliasBits = 0x0183f3ff;

struct Feature {
    std::string word;
    u32 bit = 0;
    bool absent = false;
};
using Features = std::map<std::string, Feature>;

std::string literal(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

std::string hex(u32 value) {
    char text[16];
    std::snprintf(text, sizeof text, "0x%08xu", value);
    return text;
}

u32 number(const std::string& text) {
    std::size_t end = 0;
    const unsigned long value = std::stoul(text, &end, 0);
    if (end != text.size()) throw std::runtime_error("`" + text + "` is no number");
    return static_cast<u32>(value);
}

std::string names(const YAML::Node& list, const std::string& array, std::ostream& out) {
    if (!list) return "{}";
    out << "constexpr std::string_view " << array << "[] = {";
    for (const auto& n : list) out << literal(n.as<std::string>()) << ", ";
    out << "};\n";
    return array;
}

void only(const YAML::Node& map, const std::string& what, const std::vector<std::string>& keys) {
    for (const auto& entry : map) {
        bool known = false;
        for (const std::string& k : keys) known = known || k == entry.first.as<std::string>();
        if (!known) throw std::runtime_error(what + ": unknown key `" + entry.first.as<std::string>() + "`");
    }
}

Features write_features(const YAML::Node& file, std::ostream& out) {
    Features all;
    std::ostringstream table;
    unsigned n = 0;
    for (const auto& [word, word_name] : kWords) {
        for (const auto& f : file["words"][word]) {
            const auto name = f["name"].as<std::string>();
            only(f, name, {"name", "bit", "also", "needs", "absent"});
            const Feature feature{word, f["bit"].as<u32>(), static_cast<bool>(f["absent"])};
            if (feature.bit > 31 || !all.emplace(name, feature).second) throw std::runtime_error(name + ": twice");
            const std::string number_text = std::to_string(n++);
            const std::string also = names(f["also"], "kAlso" + number_text, out);
            const std::string needs = names(f["needs"], "kNeeds" + number_text, out);
            table << "    {" << literal(name) << ", " << also << ", " << needs << ", "
                  << literal(f["absent"].as<std::string>("")) << ", Word::" << word_name << ", " << feature.bit
                  << "},\n";
        }
    }
    const auto why = file["unreached"]["absent"].as<std::string>();
    for (const auto& name : file["unreached"]["names"])
        table << "    {" << literal(name.as<std::string>()) << ", {}, {}, " << literal(why)
              << ", Word::k1Edx, FeatureInfo::kNoBit},\n";
    out << "constexpr FeatureInfo kFeatures[] = {\n" << table.str() << "};\n";
    return all;
}

void write_leaves(const YAML::Node& sets, std::ostream& out) {
    for (const auto& set : sets) {
        out << "constexpr LeafData kLeaves_" << set.first.as<std::string>() << "[] = {\n";
        for (const auto& leaf : set.second) {
            const auto key = leaf.first.as<std::string>();  // hexadecimal, with the part behind a dot
            const std::size_t dot = key.find('.');
            out << "    {0x" << key.substr(0, dot) << "u, " << (dot == std::string::npos ? "0" : key.substr(dot + 1))
                << ", {";
            if (leaf.second.size() != 4) throw std::runtime_error("leaf " + key + ": four registers");
            for (const auto& r : leaf.second) out << hex(number(r.as<std::string>())) << ", ";
            out << "}},\n";
        }
        out << "};\n";
    }
}

std::map<std::string, u32> words_of(const std::string& name, const YAML::Node& m, const Features& features) {
    std::map<std::string, u32> words;
    if (m["words"].IsScalar()) {
        for (const auto& [feature_name, f] : features)
            if (!f.absent) words[f.word] |= 1u << f.bit;
        words["80000001.edx"] |= words["1.edx"] & kAliasBits;
        return words;
    }
    for (const auto& w : m["words"]) words[w.first.as<std::string>()] = number(w.second.as<std::string>());
    for (const auto& l : m["left_out"]) {
        const auto feature = features.find(l.as<std::string>());
        if (feature == features.end()) throw std::runtime_error(name + ": left_out: " + l.as<std::string>());
        const u32 bit = 1u << feature->second.bit;
        if ((words[feature->second.word] & bit) == 0)
            throw std::runtime_error(name + ": left out, but it is not there: " + feature->first);
        words[feature->second.word] &= ~bit;
    }
    std::map<std::string, u32> allowed{{"80000001.edx", kAliasBits & words["1.edx"]}};
    for (const auto& [feature_name, f] : features)
        if (!f.absent) allowed[f.word] |= 1u << f.bit;
    for (const auto& [word, value] : words) {
        const u32 rest = value & ~allowed[word];
        if (rest != 0) throw std::runtime_error(name + ": " + word + ": not emulated, but announced: " + hex(rest));
    }
    return words;
}

void write_models(const YAML::Node& file, const Features& features, std::ostream& out) {
    write_leaves(file["leaves"], out);
    out << "constexpr CpuModel kModels[] = {\n";
    for (const auto& entry : file["models"]) {
        const auto name = entry.first.as<std::string>();
        const YAML::Node& m = entry.second;
        only(m, name,
             {"doc", "source", "vendor", "level", "xlevel", "version", "words", "left_out", "brand", "leaves",
              "physical"});
        const auto vendor = m["vendor"].as<std::string>();
        const auto brand = m["brand"].as<std::string>("");
        if (vendor.size() != 12 || brand.size() > 48) throw std::runtime_error(name + ": vendor or brand");
        const auto value = [&](const char* key, const char* otherwise) {
            return number(m[key].as<std::string>(otherwise));
        };
        auto words = words_of(name, m, features);
        out << "    {" << literal(name) << ", " << literal(m["doc"].as<std::string>()) << ", "
            << literal(m["source"].as<std::string>()) << ", " << literal(vendor) << ", " << hex(value("level", "0"))
            << ", " << hex(value("version", "0")) << ", " << hex(words["1.edx"]) << ", " << hex(words["1.ecx"]) << ", "
            << hex(value("xlevel", "0")) << ", " << hex(words["80000001.edx"]) << ", " << hex(words["80000001.ecx"])
            << ", " << hex(words["80000007.edx"]) << ", " << hex(words["7.ebx"]) << ", " << hex(words["7.ecx"]) << ", "
            << hex(words["0d.1.eax"]) << ", " << value("physical", "36") << ", " << literal(brand) << ", kLeaves_"
            << m["leaves"].as<std::string>() << "},\n";
    }
    out << "};\n";
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s FEATURES.yaml MODELS.yaml OUTPUT.inc\n", argv[0]);
        return 2;
    }
    try {
        std::ostringstream out;
        const Features features = write_features(YAML::LoadFile(argv[1]), out);
        write_models(YAML::LoadFile(argv[2]), features, out);
        std::ofstream file(argv[3], std::ios::binary);
        file << out.str();
        file.close();
        if (!file) throw std::runtime_error(std::string(argv[3]) + ": cannot be written");
    } catch (const std::exception& e) {
        std::fprintf(stderr, "CPU models: %s\n", e.what());
        return 1;
    }
    return 0;
}
