// Finds plugins, reads their manifests without running them, loads those that a board needs.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/config/error.hpp"
#include "kernel/plugin/manifest.hpp"
#include "kernel/plugin/type_info.hpp"

namespace backplane::kernel {

// A file that stood in a plugin folder: its manifest, or why it cannot be used.
struct PluginFile {
    std::string path;
    Manifest manifest;
    std::string error;  // "" if usable
    bool loaded = false;
};

class PluginRegistry {
  public:
    PluginRegistry();
    ~PluginRegistry();
    PluginRegistry(const PluginRegistry&) = delete;
    PluginRegistry& operator=(const PluginRegistry&) = delete;

    // Reads the manifests of all *.so in the folder (a missing folder is empty). No code of a plugin runs. A broken
    // file is remembered, not an error. The same file seen twice (a link) counts once.
    void scan(const std::string& folder);
    void scan(const std::vector<std::string>& folders);
    // One more plugin file by path; unlike scan() throws if it is broken.
    void add_file(const std::string& path);
    // A type of this process, for tests.
    void add(const bp_device_type* type);

    // The type's description; loads its plugin on first use. Throws Error (kExitPlugin) placed at `position`: unknown
    // type (with the nearest name and the broken files that may hold it), defined by two plugins, plugin broken.
    // `plugin` chooses among several implementations: a plugin's id, or the path of its file.
    const TypeInfo& type(std::string_view name, const Position& position = {}, const std::string& plugin = {});
    bool has_type(std::string_view name) const;
    std::vector<std::string> type_names() const;  // sorted; nothing is loaded for it

    const std::vector<PluginFile>& files() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace backplane::kernel
