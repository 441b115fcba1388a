// What a plugin file says about itself, read by our own bounded ELF reader before anything in it runs.
#pragma once

#include <string>
#include <vector>

#include "backplane/types.hpp"

namespace backplane::kernel {

struct Manifest {
    std::string id, version, licence, kind;
    std::vector<std::string> types, needs;
    std::vector<std::string> provides;  // interfaces that need no device, by id
    u32 abi_major = 0, abi_minor = 0;
    std::string text;  // the JSON as it stands in the file
};

inline constexpr u64 kMaxManifestBytes = 256u << 10;

class ElfFile;

// Reads and checks the manifest of a plugin. Throws Error (kExitPlugin) whose text begins with the path.
Manifest read_manifest(ElfFile& elf);
// Of an opened file.
Manifest read_manifest(int fd, const std::string& path);
// Opens the file first.
Manifest read_manifest(const std::string& path);

}  // namespace backplane::kernel
