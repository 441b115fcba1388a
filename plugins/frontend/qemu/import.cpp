#include "import.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include "shell_words.hpp"

namespace backplane::qemu {

using drives::OptionError;

namespace {

std::string last_part(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

// "LC_ALL=C", before the program.
bool is_assignment(std::string_view word) {
    const auto equals = word.find('=');
    return equals != std::string_view::npos && equals > 0 &&
           std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals),
                       [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

// Index of the program's name, or the number of words if this is another command.
std::size_t program_at(const std::vector<std::string>& words) {
    static constexpr std::array kBefore{"exec", "sudo", "env", "nohup", "nice", "time"};
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (is_assignment(words[i]) || std::find(kBefore.begin(), kBefore.end(), words[i]) != kBefore.end()) continue;
        if (is_program(last_part(words[i]))) return i;
        if (words[i] == "qemu" && i > 0 && last_part(words[i - 1]) == "backplane") return i;
        if (last_part(words[i]) == "backplane") continue;
        break;
    }
    return words.size();
}

bool has_command(std::string_view contents) {
    for (const auto& words : shell_commands(contents))
        if (program_at(words) < words.size()) return true;
    return false;
}

}  // namespace

bool is_program(std::string_view name) {
    return name == "kvm" || name == "qemu-kvm" || name == "qemu" || name.find("-system-x86_64") != std::string::npos;
}

Format format_of(std::string_view path, std::string_view contents) {
    if (contents.find("<VirtualBox") != std::string_view::npos) return Format::kVirtualBox;
    if (contents.find("<domain") != std::string_view::npos) return Format::kLibvirt;
    if (path.ends_with(".vmx") || contents.find("config.version = \"") != std::string_view::npos)
        return Format::kVmware;
    return has_command(contents) ? Format::kCommandLine : Format::kNone;
}

// The last one counts: a log begins with the oldest.
Imported read_command_file(const std::string& path, std::string_view contents) {
    std::vector<std::string> arguments;
    for (const auto& words : shell_commands(contents))
        if (const std::size_t at = program_at(words); at < words.size())
            arguments.assign(words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
    std::erase(arguments, "");
    try {
        return {read_arguments(arguments), {}};
    } catch (const OptionError& e) {
        throw OptionError(path + ": " + e.what());
    }
}

std::string escaped(std::string_view value) {
    std::string out;
    for (const char c : value) out += c == ',' ? std::string(",,") : std::string(1, c);
    return out;
}

std::string beside(const std::string& file, const std::string& path) {
    if (path.empty() || path.front() == '/') return path;
    return (std::filesystem::path(file).parent_path() / path).string();
}

Result import_file(const std::string& path, std::string_view contents) {
    Imported found;
    switch (format_of(path, contents)) {
        case Format::kCommandLine: found = read_command_file(path, contents); break;
        case Format::kLibvirt: found = read_libvirt(path, contents); break;
        case Format::kVirtualBox: found = read_virtualbox(path, contents); break;
        case Format::kVmware: found = read_vmware(path, contents); break;
        case Format::kNone: throw OptionError(path + ": this is no description of a machine that is known here");
    }
    Translator translator(true);
    for (const std::string& remark : found.remarks) translator.remark(remark);
    return translator.translate(found.items, "made from " + path);
}

}  // namespace backplane::qemu
