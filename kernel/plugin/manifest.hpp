// What a plugin file says about itself, read by our own bounded ELF reader before anything in it runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backplane/types.hpp"

namespace backplane::kernel {

struct Manifest {
    std::string id, version, licence, kind;
    std::vector<std::string> types, needs;
    u32 abi_major = 0, abi_minor = 0;
    std::string text;  // the JSON as it stands in the file
};

// Limits of the reader.
inline constexpr u64 kMaxPluginBytes = 256u << 20;
inline constexpr u64 kMaxManifestBytes = 256u << 10;

// Reads and checks the manifest of an opened file. Throws Error (kExitPlugin) whose text begins with `path`.
Manifest read_manifest(int fd, const std::string& path);
// Opens the file first (regular files only, never blocks).
Manifest read_manifest(const std::string& path);

}  // namespace backplane::kernel
