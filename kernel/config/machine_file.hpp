// A machine file with everything that it extends, merged into one tree.
#pragma once

#include <string>
#include <vector>

#include "kernel/config/search.hpp"
#include "kernel/config/value.hpp"

namespace backplane::kernel {

struct MachineFile {
    std::string name, description;
    std::vector<std::string> ancestry;          // extended files, nearest first
    std::vector<std::string> firmware_folders;  // folders of the files, and what they list under `firmware_folders`
    Value root;                                 // parameters, aliases, spaces, clock, lines, devices, when, publish
};

MachineFile load_machine_file(const std::string& path, const SearchPaths& search);

// Merges one section of a later file, fragment or setting over `board`: lists of `publish` and `when` grow, maps merge,
// and a null deletes an entry that must be there.
void merge_section(Value& board, const Value::Entry& section);

}  // namespace backplane::kernel
