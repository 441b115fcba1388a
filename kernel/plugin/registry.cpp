#include "kernel/plugin/registry.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>

#include <boost/dll/shared_library.hpp>

#include "backplane/types.hpp"
#include "kernel/config/convert.hpp"
#include "kernel/plugin/descriptor.hpp"
#include "kernel/plugin/elf.hpp"

namespace backplane::kernel {

namespace fs = std::filesystem;
namespace dll = boost::dll;

namespace {

struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileId&) const = default;
};

std::optional<FileId> identity(int fd) {
    struct stat st {};
    if (::fstat(fd, &st) != 0) return std::nullopt;
    return FileId{st.st_dev, st.st_ino};
}

// What the loader says, with the file's own name instead of the one it was loaded by.
std::string loader_text(std::string text, const std::string& alias, const std::string& path) {
    static const std::string kMark = "dlerror system message: ";
    if (const auto at = text.find(kMark); at != std::string::npos) {
        text.erase(0, at + kMark.size());
        if (const auto end = text.rfind("):"); end != std::string::npos) text.erase(end);
    }
    for (std::size_t at = 0; (at = text.find(alias, at)) != std::string::npos; at += path.size())
        text.replace(at, alias.size(), path);
    if (text.starts_with(path + ": ")) text.erase(0, path.size() + 2);
    return text;
}

// A plugin in memory. The descriptor stays open, so that its name in /proc belongs to no other file meanwhile.
struct Loaded {
    Descriptor file;
    dll::shared_library library;
    const bp_plugin* plugin = nullptr;
    const bp_device_types* types = nullptr;
};

void check_symbol(const bp_plugin* plugin, const Manifest& manifest, const std::string& path) {
    const auto fail = [&](const std::string& text) { throw Error(path + ": " + text, kExitPlugin); };
    if (plugin->magic != BP_PLUGIN_MAGIC) fail("`" BP_PLUGIN_SYMBOL "` has a wrong magic number");
    if (plugin->size != sizeof(bp_plugin) || plugin->size_at_end != sizeof(bp_plugin))
        fail("`" BP_PLUGIN_SYMBOL "` has another layout than this program's ABI");
    if (plugin->abi_major != manifest.abi_major || plugin->abi_minor != manifest.abi_minor)
        fail("its manifest and its code name different ABI versions");
    if (to_view(plugin->id) != manifest.id || to_view(plugin->manifest) != manifest.text)
        fail("its manifest and its code disagree about what it is");
    if (!plugin->factory) fail("`" BP_PLUGIN_SYMBOL "` has no factory");
}

const bp_device_types* types_of(const bp_plugin* plugin, const Manifest& manifest, const std::string& path) {
    const auto fail = [&](const std::string& text) { throw Error(path + ": " + text, kExitPlugin); };
    const auto* types = static_cast<const bp_device_types*>(plugin->factory(to_bp(BP_DEVICE_TYPES_ID)));
    if (!types) fail("it offers no device types");
    if (types->size != sizeof(bp_device_types) || (types->count && !types->types))
        fail("its list of types has another layout than this program's ABI");
    if (types->count != manifest.types.size()) fail("its manifest and its code list different types");
    for (u32 i = 0; i < types->count; ++i)
        if (!types->types[i] || types->types[i]->size != sizeof(bp_device_type) ||
            to_view(types->types[i]->type) != manifest.types[i])
            fail("its manifest and its code list different types");
    return types;
}

// A private copy of the file in memory: what a compiler writes over the file later does not reach the running program,
// and the same file can be loaded once more beside it.
Descriptor private_copy(const Descriptor& file, const std::string& path) {
    // Memory maps, debuggers and profilers show the name; the host allows 249 bytes.
    constexpr std::size_t kMost = 240;
    const std::string name = path.size() > kMost ? path.substr(path.size() - kMost) : path;
    Descriptor copy(::memfd_create(name.c_str(), MFD_CLOEXEC));
    if (copy.get() < 0) return copy;
    off_t at = 0;
    for (;;) {
        const ssize_t n = ::sendfile(copy.get(), file.get(), &at, kMaxPluginBytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw Error(path + ": cannot read: " + std::strerror(errno), kExitPlugin);
        if (n == 0) return copy;
        if (static_cast<u64>(at) > kMaxPluginBytes) throw Error(path + ": too large for a plugin", kExitPlugin);
    }
}

Loaded load(const PluginFile& scanned) {
    const std::string& path = scanned.path;
    Loaded loaded{Descriptor(path), {}};
    read_manifest(loaded.file.get(), path);  // it is a file of bearable size
    if (Descriptor copy = private_copy(loaded.file, path); copy.get() >= 0) loaded.file = std::move(copy);
    // The file that is checked here is the one that the loader opens, whatever its name stands for by then.
    const Manifest manifest = read_manifest(loaded.file.get(), path);
    if (manifest.text != scanned.manifest.text) throw Error(path + ": changed while it was in use", kExitPlugin);
    const std::string name = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(loaded.file.get());
    try {
        loaded.library.load(name, dll::load_mode::rtld_now | dll::load_mode::rtld_local);
    } catch (const std::exception& e) {
        throw Error(path + ": cannot be loaded: " + loader_text(e.what(), name, path), kExitPlugin);
    }
    if (!loaded.library.has(BP_PLUGIN_SYMBOL))
        throw Error(path + ": it exports no data symbol `" BP_PLUGIN_SYMBOL "`", kExitPlugin);
    loaded.plugin = &loaded.library.get<const bp_plugin>(BP_PLUGIN_SYMBOL);
    check_symbol(loaded.plugin, manifest, path);
    loaded.types = types_of(loaded.plugin, manifest, path);
    return loaded;
}

}  // namespace

struct PluginRegistry::Impl {
    std::vector<PluginFile> files;
    std::vector<FileId> ids;      // beside files
    std::vector<bool> on_demand;  // beside files: known because a device names it, and for nobody else
    // Declared before the descriptions, which point into the libraries.
    std::map<std::size_t, Loaded> loaded;
    std::vector<std::pair<const bp_device_type*, bool>> in_process;  // and whether it is a back end
    using Types = std::map<std::string, std::unique_ptr<TypeInfo>, std::less<>>;
    Types types;

    // Two builds of a plugin while one takes over from the other: here is the one that is not in force.
    struct Other {
        std::size_t index = 0;
        PluginFile file;
        FileId id;
        std::optional<Loaded> library;  // before what points into it
        Types types;
    };
    std::optional<Other> other;

    void swap_builds() {
        Other& o = *other;
        std::swap(files[o.index], o.file);
        std::swap(ids[o.index], o.id);
        auto it = loaded.find(o.index);
        Loaded present = std::move(it->second);
        loaded.erase(it);
        loaded.emplace(o.index, std::move(*o.library));
        o.library.emplace(std::move(present));
        for (auto& [key, info] : o.types) std::swap(types.at(key), info);
    }

    // The file's index, also if it is known already.
    std::size_t add_file(const std::string& path) {
        PluginFile file;
        file.path = path;
        FileId id;
        try {
            const Descriptor descriptor(path);
            if (const auto found = identity(descriptor.get())) id = *found;
            if (const auto known = std::find(ids.begin(), ids.end(), id); known != ids.end())
                return static_cast<std::size_t>(known - ids.begin());
            file.manifest = read_manifest(descriptor.get(), path);
        } catch (const Error& e) {
            file.error = e.what();
        }
        files.push_back(std::move(file)), ids.push_back(id), on_demand.push_back(false);
        return files.size() - 1;
    }

    // All places that define the type; SIZE_MAX stands for this process.
    std::vector<std::size_t> definers(std::string_view name, bool with_on_demand) const {
        std::vector<std::size_t> out;
        for (const auto& [t, backend] : in_process)
            if (to_view(t->type) == name) out.push_back(SIZE_MAX);
        for (std::size_t i = 0; i < files.size(); ++i)
            if (files[i].error.empty() && (with_on_demand || !on_demand[i]) &&
                std::find(files[i].manifest.types.begin(), files[i].manifest.types.end(), name) !=
                    files[i].manifest.types.end())
                out.push_back(i);
        return out;
    }

    std::string place_of(std::size_t definer) const {
        return definer == SIZE_MAX ? "this program" : files[definer].path;
    }

    // Whether file `index` is the plugin that an id or a path names.
    bool is(std::size_t index, const std::string& plugin) const {
        if (files[index].manifest.id == plugin || files[index].path == plugin) return true;
        struct stat st {};
        return ::stat(plugin.c_str(), &st) == 0 && FileId{st.st_dev, st.st_ino} == ids[index];
    }

    std::unique_ptr<TypeInfo> describe(std::size_t definer, std::string_view name) {
        if (definer == SIZE_MAX) {
            for (const auto& [type, backend] : in_process)
                if (to_view(type->type) == name) {
                    auto info = std::make_unique<TypeInfo>(describe_type(type, ""));
                    info->backend = backend;
                    return info;
                }
        }
        const PluginFile& file = files[definer];
        const Loaded& library = load_file(definer);
        for (u32 i = 0; i < library.types->count; ++i) {
            if (to_view(library.types->types[i]->type) != name) continue;
            auto info = std::make_unique<TypeInfo>(describe_type(library.types->types[i], file.path));
            info->plugin_id = file.manifest.id, info->plugin_version = file.manifest.version;
            info->needs = file.manifest.needs;
            info->frontend = file.manifest.kind == "frontend";
            info->backend = file.manifest.kind == "backend" || info->frontend;
            return info;
        }
        throw Error(file.path + ": it does not define the type " + in_ticks(std::string(name)), kExitPlugin);
    }

    const Loaded& load_file(std::size_t index) {
        if (const auto it = loaded.find(index); it != loaded.end()) return it->second;
        Loaded fresh = load(files[index]);
        files[index].loaded = true;
        return loaded.emplace(index, std::move(fresh)).first->second;
    }
};

PluginRegistry::PluginRegistry() : impl_(std::make_unique<Impl>()) {}
PluginRegistry::~PluginRegistry() = default;

void PluginRegistry::scan(const std::string& folder) {
    std::error_code error;
    std::vector<std::string> paths;
    fs::directory_iterator it(folder, error), end;
    for (; !error && it != end; it.increment(error))
        if (it->path().extension() == ".so") paths.push_back(it->path().lexically_normal().string());
    std::sort(paths.begin(), paths.end());
    for (const std::string& path : paths) impl_->add_file(path);
}

void PluginRegistry::scan(const std::vector<std::string>& folders) {
    for (const std::string& folder : folders) scan(folder);
}

void PluginRegistry::add_file(const std::string& path) {
    const std::size_t index = impl_->add_file(path);
    if (!impl_->files[index].error.empty()) throw Error(impl_->files[index].error, kExitPlugin);
}

void PluginRegistry::add(const bp_device_type* type, bool backend) { impl_->in_process.emplace_back(type, backend); }

const TypeInfo& PluginRegistry::type(std::string_view name, const Position& position, const std::string& plugin) {
    const std::string key = plugin.empty() ? std::string(name) : std::string(name) + '\n' + plugin;
    if (const auto it = impl_->types.find(key); it != impl_->types.end()) return *it->second;
    std::vector<std::size_t> definers = impl_->definers(name, false);
    if (!plugin.empty()) {
        if (plugin.find('/') != std::string::npos && plugin.ends_with(".so")) {
            try {
                const std::size_t known = impl_->files.size();
                add_file(plugin);
                if (impl_->files.size() > known) impl_->on_demand[known] = true;
            } catch (const Error& e) {
                throw Error(position, e.what(), e.exit_code);
            }
        }
        definers = impl_->definers(name, true);
        const std::vector<std::size_t> all = definers;
        std::erase_if(definers, [&](std::size_t d) { return d == SIZE_MAX || !impl_->is(d, plugin); });
        if (definers.empty()) {
            std::string text = "the plugin " + plugin + " does not define the type " + in_ticks(name);
            for (const std::size_t d : all) text += "; " + impl_->place_of(d) + " does";
            throw Error(position, text, kExitPlugin);
        }
    }
    if (definers.size() > 1) {
        std::string text = "the type " + in_ticks(name) + " is defined twice: by " + impl_->place_of(definers[0]);
        for (std::size_t i = 1; i < definers.size(); ++i) text += " and by " + impl_->place_of(definers[i]);
        text += "; `plugin: ID` at the device chooses one";
        throw Error(position, text, kExitPlugin);
    }
    if (definers.empty()) {
        std::string text = "there is no device type " + in_ticks(name) + did_you_mean(name, type_names());
        if (impl_->files.empty() && impl_->in_process.empty())
            text += "; no plugins were found at all (BACKPLANE_PLUGIN_PATH names their folders)";
        for (const PluginFile& file : impl_->files)
            if (!file.error.empty()) text += "\n  a plugin that may hold it cannot be used: " + file.error;
        throw Error(position, text, kExitPlugin);
    }
    try {
        return *impl_->types.emplace(key, impl_->describe(definers[0], name)).first->second;
    } catch (const Error& e) {
        throw Error(position, e.what(), e.exit_code);
    }
}

std::string PluginRegistry::loaded_plugin(const std::string& what) const {
    for (const auto& [index, library] : impl_->loaded)
        if (impl_->is(index, what)) return impl_->files[index].manifest.id;
    if (what.find('/') == std::string::npos && !what.ends_with(".so")) return "";
    const std::string id = read_manifest(what).id;
    for (const auto& [index, library] : impl_->loaded)
        if (impl_->files[index].manifest.id == id) return id;
    return "";
}

void PluginRegistry::begin_reload(const std::string& id, const std::string& path) {
    const auto it = std::find_if(impl_->loaded.begin(), impl_->loaded.end(),
                                 [&](const auto& l) { return impl_->files[l.first].manifest.id == id; });
    if (it == impl_->loaded.end()) throw Error("no plugin " + in_ticks(id) + " is loaded", kExitPlugin);
    Impl::Other fresh;
    fresh.index = it->first;
    fresh.file.path = path.empty() ? impl_->files[it->first].path : path;
    fresh.file.manifest = read_manifest(fresh.file.path);
    if (fresh.file.manifest.id != id)
        throw Error(
            fresh.file.path + ": this is the plugin " + in_ticks(fresh.file.manifest.id) + ", not " + in_ticks(id),
            kExitPlugin);
    fresh.file.loaded = true;
    struct stat st {};
    if (::stat(fresh.file.path.c_str(), &st) == 0) fresh.id = {st.st_dev, st.st_ino};
    fresh.library.emplace(load(fresh.file));
    // The types that are in use, by the names under which they were asked for.
    for (const auto& [key, info] : impl_->types)
        if (info->plugin_id == id) fresh.types.emplace(key, nullptr);
    impl_->other.emplace(std::move(fresh));
    Impl::Types described;
    try {
        // describe() looks at the build in force.
        impl_->swap_builds();
        for (const auto& [key, info] : impl_->other->types)
            described.emplace(key,
                              impl_->describe(impl_->other->index, std::string_view(key).substr(0, key.find('\n'))));
    } catch (...) {
        impl_->swap_builds();
        impl_->other.reset();
        throw;
    }
    for (auto& [key, info] : described) impl_->types.at(key) = std::move(info);
}

void PluginRegistry::end_reload(bool keep) {
    if (!impl_->other) return;
    if (!keep) impl_->swap_builds();
    impl_->other.reset();
}

bool PluginRegistry::has_type(std::string_view name) const { return !impl_->definers(name, true).empty(); }

std::vector<const void*> PluginRegistry::provided(std::string_view interface_id) {
    std::vector<const void*> out;
    for (std::size_t i = 0; i < impl_->files.size(); ++i) {
        const PluginFile& file = impl_->files[i];
        if (!file.error.empty() || impl_->on_demand[i]) continue;
        const auto& ids = file.manifest.provides;
        if (std::find(ids.begin(), ids.end(), interface_id) == ids.end()) continue;
        const void* table = impl_->load_file(i).plugin->factory(to_bp(interface_id));
        if (!table)
            throw Error(file.path + ": its manifest says that it provides " + in_ticks(interface_id) +
                            ", but its code does not",
                        kExitPlugin);
        out.push_back(table);
    }
    return out;
}

std::vector<std::string> PluginRegistry::type_names() const {
    std::vector<std::string> names;
    for (const auto& [t, backend] : impl_->in_process) names.emplace_back(to_view(t->type));
    for (const PluginFile& file : impl_->files)
        if (file.error.empty()) names.insert(names.end(), file.manifest.types.begin(), file.manifest.types.end());
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

const std::vector<PluginFile>& PluginRegistry::files() const { return impl_->files; }

}  // namespace backplane::kernel
