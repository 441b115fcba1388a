// Where machines, VM files, plugins and firmware are looked for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace backplane::kernel {

struct SearchPaths {
    std::vector<std::string> machines;  // folders, first match wins
    std::vector<std::string> configs;
    std::vector<std::string> plugins;
    std::vector<std::string> firmware;
    std::vector<std::string> templates;  // of new plugins

    // The folders for a process whose executable is `executable` (found by /proc/self/exe if empty): working directory,
    // $XDG_DATA_HOME/backplane, what lies beside the executable, the install prefix, BACKPLANE_PLUGIN_PATH and
    // BACKPLANE_FIRMWARE_PATH. Reads the environment; folders need not exist.
    static SearchPaths standard(const std::string& executable = {});
};

struct FoundFile {
    std::string name;  // "pc-2010"
    std::string path;
    bool hidden = false;  // a file of the same name stands earlier in the search
    std::string description;
};

// A machine or VM file by name (without .yaml) or path. Throws Error with the searched folders and the nearest name.
std::string find_machine(const SearchPaths& search, const std::string& name);
std::string find_vm(const SearchPaths& search, const std::string& name);
std::vector<FoundFile> list_machines(const SearchPaths& search);
std::vector<FoundFile> list_vms(const SearchPaths& search);

// A firmware image by name or path: looked for in `search.firmware`, then in `board_folders`
// (BoardSpec::firmware_folders), then in the working directory. Nothing found: nullopt; firmware_folders() says where
// was searched.
std::optional<std::string> find_firmware(const SearchPaths& search, const std::string& name,
                                         const std::vector<std::string>& board_folders);
std::vector<std::string> firmware_folders(const SearchPaths& search, const std::vector<std::string>& board_folders);

}  // namespace backplane::kernel
