#include "runner/plugin_new.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"

namespace backplane::runner {

namespace fs = std::filesystem;
using kernel::Error;

namespace {

constexpr std::size_t kLongestName = 40;

constexpr std::array kKeywords = {"alignas",
                                  "alignof",
                                  "and",
                                  "and_eq",
                                  "asm",
                                  "auto",
                                  "bitand",
                                  "bitor",
                                  "bool",
                                  "break",
                                  "case",
                                  "catch",
                                  "char",
                                  "char16_t",
                                  "char32_t",
                                  "char8_t",
                                  "class",
                                  "co_await",
                                  "co_return",
                                  "co_yield",
                                  "compl",
                                  "concept",
                                  "const",
                                  "const_cast",
                                  "consteval",
                                  "constexpr",
                                  "constinit",
                                  "continue",
                                  "decltype",
                                  "default",
                                  "delete",
                                  "do",
                                  "double",
                                  "dynamic_cast",
                                  "else",
                                  "enum",
                                  "explicit",
                                  "export",
                                  "extern",
                                  "false",
                                  "final",
                                  "float",
                                  "for",
                                  "friend",
                                  "goto",
                                  "if",
                                  "import",
                                  "inline",
                                  "int",
                                  "long",
                                  "module",
                                  "mutable",
                                  "namespace",
                                  "new",
                                  "noexcept",
                                  "not",
                                  "not_eq",
                                  "nullptr",
                                  "operator",
                                  "or",
                                  "or_eq",
                                  "override",
                                  "private",
                                  "protected",
                                  "public",
                                  "register",
                                  "reinterpret_cast",
                                  "requires",
                                  "return",
                                  "short",
                                  "signed",
                                  "sizeof",
                                  "static",
                                  "static_assert",
                                  "static_cast",
                                  "struct",
                                  "switch",
                                  "template",
                                  "this",
                                  "thread_local",
                                  "throw",
                                  "true",
                                  "try",
                                  "typedef",
                                  "typeid",
                                  "typename",
                                  "union",
                                  "unsigned",
                                  "using",
                                  "virtual",
                                  "void",
                                  "volatile",
                                  "wchar_t",
                                  "while",
                                  "xor",
                                  "xor_eq"};

// Targets that CMake or its generators make themselves, and those of the template.
constexpr std::array kTargets = {"all",     "clean",   "depend",         "edit_cache", "guest",         "help",
                                 "install", "package", "package_source", "preinstall", "rebuild_cache", "test"};

// Classes of the SDK's headers, which the template uses by these names.
constexpr std::array kSdkClasses = {
    "Bench",         "Board",       "Bytes",       "Device",   "DeviceType", "Duration",   "Fact",
    "FactField",     "IntrProxy",   "LineOut",     "Link",     "Manifest",   "MsiOptions", "Path",
    "PciField",      "PciFunction", "PciIdentity", "PciMsi",   "PciSlot",    "Properties", "Property",
    "PublishedFact", "Region",      "Reset",       "Schema",   "Services",   "Slot",       "StateField",
    "StateVisitor",  "Timer",       "TracePoint",  "TypeList", "Writer"};

template <std::size_t N>
bool holds(const std::array<const char*, N>& list, const std::string& word) {
    return std::find_if(list.begin(), list.end(), [&](const char* w) { return word == w; }) != list.end();
}

std::string replaced(std::string text, const std::vector<std::pair<std::string, std::string>>& words) {
    for (const auto& [from, to] : words)
        for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
            text.replace(at, from.size(), to);
    return text;
}

std::string find_template(const kernel::SearchPaths& search, const std::string& kind) {
    std::string searched;
    for (const std::string& folder : search.templates) {
        const fs::path path = fs::path(folder) / kind;
        std::error_code error;
        if (fs::exists(path / "CMakeLists.txt", error)) return path.string();
        searched += " " + folder;
    }
    throw Error("there is no template for a plugin of the kind " + kernel::in_ticks(kind) + "; searched:" + searched);
}

// The prefix that this program belongs to, where CMake finds the package of the SDK.
std::string prefix_of_program() {
    std::error_code error;
    return fs::read_symlink("/proc/self/exe", error).parent_path().parent_path().string();
}

void write(const fs::path& path, const std::string& text) {
    std::ofstream out(path, std::ios::binary);
    out << text;
    out.close();
    if (!out) throw Error(path.string() + ": cannot be written: " + std::strerror(errno), kernel::kExitFailure);
}

void copy(const fs::path& from, const fs::path& to, const std::vector<std::pair<std::string, std::string>>& words) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(from)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) {
        const fs::path target = to / replaced(file.filename().string(), words);
        if (fs::is_directory(file)) {
            fs::create_directory(target);
            copy(file, target, words);
            continue;
        }
        std::ifstream in(file, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(in), {}};
        if (!in) throw Error(file.string() + ": cannot be read: " + std::strerror(errno), kernel::kExitFailure);
        write(target, replaced(text, words));
    }
}

}  // namespace

std::string class_name_of(const std::string& name) {
    std::string out;
    bool upper = true;
    for (const char c : name) {
        if (c == '_') {
            upper = true;
            continue;
        }
        out.push_back(upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c);
        upper = false;
    }
    return out;
}

std::string objection_to_name(const std::string& name) {
    const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
    if (name.empty() || !std::all_of(name.begin(), name.end(), fits) ||
        !std::isalpha(static_cast<unsigned char>(name[0])))
        return "a name is letters, digits and underscores, and begins with a letter";
    if (name.size() > kLongestName) return "a name has at most " + std::to_string(kLongestName) + " characters";
    if (name.find("__") != std::string::npos || name.back() == '_')
        return "a name has no two underscores in a row and none at its end";
    if (holds(kKeywords, name)) return "it is a word of C++";
    if (holds(kTargets, name)) return "CMake has a target of that name";
    if (holds(kSdkClasses, class_name_of(name))) return "the SDK has a class " + class_name_of(name);
    return "";
}

std::string make_plugin(const kernel::SearchPaths& search, const std::string& name, const std::string& kind,
                        const std::string& parent) {
    if (const std::string why = objection_to_name(name); !why.empty())
        throw Error("a plugin cannot be called " + kernel::in_ticks(name) + ": " + why);
    const std::string from = find_template(search, kind);
    const fs::path folder = (fs::path(parent) / name).lexically_normal();
    std::error_code error;
    // Whoever makes the folder owns it: nothing that was there before is touched.
    if (!fs::create_directory(folder, error)) {
        if (!error) throw Error(folder.string() + ": exists already and was left alone");
        throw Error(folder.string() + ": cannot be made: " + error.message());
    }
    try {
        copy(from, folder,
             {{"plugin_name", name}, {"PluginName", class_name_of(name)}, {"@BACKPLANE_PREFIX@", prefix_of_program()}});
    } catch (...) {
        fs::remove_all(folder, error);
        throw;
    }
    return folder.string();
}

}  // namespace backplane::runner
