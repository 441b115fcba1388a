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
    // A type of this process, which must outlive the registry. `backend`: it is on the host's side.
    void add(const bp_device_type* type, bool backend = false);

    // The type's description; loads its plugin on first use. Throws Error (kExitPlugin) placed at `position`: unknown
    // type (with the nearest name and the broken files that may hold it), defined by two plugins, plugin broken.
    // `plugin` chooses among several implementations: a plugin's id, or the path of its file.
    const TypeInfo& type(std::string_view name, const Position& position = {}, const std::string& plugin = {});
    bool has_type(std::string_view name) const;
    // The tables of an interface that needs no device, from all plugins whose manifests say that they provide it; only
    // these are loaded. Throws Error (kExitPlugin) if one is broken.
    std::vector<const void*> provided(std::string_view interface_id);

    // Reloading. begin_reload() loads the file of a plugin once more: from now on type() describes what the new build
    // brings. `file` is another build of the plugin `id`, or "" for the one it was loaded from. Throws Error, and then
    // nothing has changed. end_reload() keeps the new build and unloads the old one, or the other way round; nothing of
    // the side that goes may be in use any more.
    void begin_reload(const std::string& id, const std::string& file);
    void end_reload(bool keep);
    // Id of the loaded plugin that `what` names: its id, its file's path, or the path of another build. "" if none is.
    std::string loaded_plugin(const std::string& what) const;
    std::vector<std::string> type_names() const;  // sorted; nothing is loaded for it

    const std::vector<PluginFile>& files() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace backplane::kernel
