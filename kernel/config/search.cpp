#include "kernel/config/search.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "kernel/config/convert.hpp"
#include "kernel/config/value.hpp"

namespace backplane::kernel {

namespace fs = std::filesystem;

namespace {

std::string environment(const char* name) {
    const char* text = std::getenv(name);
    return text ? text : "";
}

void add_list(std::vector<std::string>& folders, const std::string& list) {
    std::size_t begin = 0;
    while (begin < list.size()) {
        const std::size_t end = std::min(list.find(':', begin), list.size());
        if (end > begin) folders.push_back(list.substr(begin, end - begin));
        begin = end + 1;
    }
}

// As errors show it: relative if it lies under the working directory.
std::string display(const fs::path& path) {
    const fs::path plain = path.lexically_normal();
    std::error_code error;
    const fs::path here = fs::current_path(error);
    if (error || plain.is_relative()) return plain.string();
    const fs::path relative = plain.lexically_relative(here);
    if (relative.empty() || *relative.begin() == "..") return plain.string();
    return relative.string();
}

bool is_file(const fs::path& path) {
    std::error_code error;
    return fs::exists(path, error) && !fs::is_directory(path, error);
}

// In the working directory machines and VM files may lie side by side; a VM file is known by its key `machine`.
enum class Sort { kMachine, kVm, kNeither };
Sort sort_of(const std::string& path, std::string* description) {
    try {
        const Value root = read_yaml_file(path);
        if (!root.is_map()) return Sort::kNeither;
        if (const Value* text = root.find("description"); text && text->is_scalar()) *description = text->text();
        if (root.find("machine")) return Sort::kVm;
        if (root.find("devices") || root.find("extends") || root.find("parameters")) return Sort::kMachine;
    } catch (const Error&) {
        *description = "(cannot be read)";
        return Sort::kMachine;
    }
    return Sort::kNeither;
}

std::vector<FoundFile> list(const std::vector<std::string>& folders, Sort wanted) {
    std::vector<FoundFile> found;
    std::vector<std::string> seen;
    for (const std::string& folder : folders) {
        std::error_code error;
        const std::string real = fs::weakly_canonical(folder, error).string();
        if (std::find(seen.begin(), seen.end(), real) != seen.end()) continue;
        seen.push_back(real);
        std::vector<fs::path> paths;
        fs::directory_iterator it(folder, error), end;
        for (; !error && it != end; it.increment(error))
            if (it->path().extension() == ".yaml" && is_file(it->path())) paths.push_back(it->path());
        std::sort(paths.begin(), paths.end());
        for (const fs::path& path : paths) {
            FoundFile file{path.stem().string(), display(path), false, {}};
            const Sort sort = sort_of(file.path, &file.description);
            // A broken file is listed where only files of its sort are kept, so not among those of the working
            // directory.
            if (sort != wanted || (folder == "." && file.description == "(cannot be read)")) continue;
            for (const FoundFile& earlier : found) file.hidden = file.hidden || earlier.name == file.name;
            found.push_back(std::move(file));
        }
    }
    return found;
}

std::string find(const std::vector<std::string>& folders, const std::string& name, Sort wanted, const char* what) {
    if (name.empty()) throw Error(std::string("no ") + what + " is named");
    if (name.find('/') != std::string::npos || name.ends_with(".yaml") || name.ends_with(".yml")) {
        if (is_file(name)) return display(name);
        std::error_code error;
        if (fs::is_directory(name, error)) throw Error(name + ": is a folder, not a " + what);
        if (name.find('/') != std::string::npos) throw Error(name + ": no such file");
    }
    const std::string plain = name.ends_with(".yaml") ? name.substr(0, name.size() - 5) : name;
    for (const std::string& folder : folders) {
        const fs::path path = fs::path(folder) / (plain + ".yaml");
        if (!is_file(path)) continue;
        std::string description;
        const std::string shown = display(path);
        const Sort sort = sort_of(shown, &description);
        if (sort == wanted || sort == Sort::kNeither || description == "(cannot be read)") return shown;
    }
    std::vector<std::string> known;
    for (const FoundFile& file : list(folders, wanted)) known.push_back(file.name);
    std::string text = std::string("there is no ") + what + " `" + plain + "`" + did_you_mean(plain, known);
    text += text.ends_with("?") ? " Searched:" : "; searched:";
    for (const std::string& folder : folders) text += " " + display(folder);
    throw Error(text);
}

}  // namespace

SearchPaths SearchPaths::standard(const std::string& executable) {
    fs::path program = executable;
    std::error_code error;
    if (program.empty()) program = fs::read_symlink("/proc/self/exe", error);
    const fs::path beside = program.parent_path();
    const fs::path prefix = (beside / "..").lexically_normal();

    fs::path home = environment("XDG_DATA_HOME");
    if (home.empty() && !environment("HOME").empty()) home = fs::path(environment("HOME")) / ".local/share";

    SearchPaths s;
    const auto data = [&](std::vector<std::string>& folders, const char* kind) {
        if (!home.empty()) folders.push_back((home / "backplane" / kind).string());
        folders.push_back((prefix / "share/backplane" / kind).string());
    };
    s.machines = {".", "machines"};
    data(s.machines, "machines");
    s.configs = {".", "configs"};
    data(s.configs, "configs");

    add_list(s.plugins, environment("BACKPLANE_PLUGIN_PATH"));
    if (!home.empty()) s.plugins.push_back((home / "backplane/plugins").string());
    s.plugins.push_back((prefix / "lib/backplane/plugins").string());
    // Debian's lib/<architecture>, other systems' lib64: whatever of the kind the prefix has.
    std::vector<std::string> others;
    for (const char* lib : {"lib", "lib64"}) {
        const fs::path folder = prefix / lib;
        if (std::string(lib) != "lib") others.push_back((folder / "backplane/plugins").string());
        fs::directory_iterator it(folder, fs::directory_options::skip_permission_denied, error), end;
        for (; !error && it != end; it.increment(error)) {
            const fs::path inner = it->path() / "backplane/plugins";
            std::error_code ignored;
            if (fs::is_directory(inner, ignored)) others.push_back(inner.string());
        }
    }
    std::sort(others.begin(), others.end());
    s.plugins.insert(s.plugins.end(), others.begin(), others.end());
    s.plugins.emplace_back(".");

    add_list(s.firmware, environment("BACKPLANE_FIRMWARE_PATH"));
    data(s.firmware, "firmware");
    data(s.templates, "template");
    return s;
}

std::string find_machine(const SearchPaths& search, const std::string& name) {
    return find(search.machines, name, Sort::kMachine, "machine");
}
std::string find_vm(const SearchPaths& search, const std::string& name) {
    return find(search.configs, name, Sort::kVm, "VM file");
}
std::vector<FoundFile> list_machines(const SearchPaths& search) { return list(search.machines, Sort::kMachine); }
std::vector<FoundFile> list_vms(const SearchPaths& search) { return list(search.configs, Sort::kVm); }

std::vector<std::string> firmware_folders(const SearchPaths& search, const std::vector<std::string>& board_folders) {
    std::vector<std::string> folders;
    for (const auto* list : {&search.firmware, &board_folders})
        for (const std::string& folder : *list)
            if (std::find(folders.begin(), folders.end(), folder) == folders.end()) folders.push_back(folder);
    // Last, so that a file that lies about there does not stand in for a board's own image.
    if (std::find(folders.begin(), folders.end(), ".") == folders.end()) folders.emplace_back(".");
    return folders;
}

std::optional<std::string> find_firmware(const SearchPaths& search, const std::string& name,
                                         const std::vector<std::string>& board_folders) {
    if (name.empty()) return std::nullopt;
    if (fs::path(name).is_absolute()) return is_file(name) ? std::optional(name) : std::nullopt;
    for (const std::string& folder : firmware_folders(search, board_folders)) {
        const fs::path path = fs::path(folder) / name;
        if (is_file(path)) return path.lexically_normal().string();
    }
    return std::nullopt;
}

}  // namespace backplane::kernel
