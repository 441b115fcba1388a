// A plugin's file, loaded and unloaded without a kernel.
#pragma once

#include <dlfcn.h>
#include <malloc.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "backplane/abi/device.h"
#include "backplane/testkit/conformance_subject.hpp"

// There in programs with the address sanitizer, whose memory malloc's own statistics do not show.
extern "C" {
__attribute__((weak)) int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*, size_t),
                                                                    void (*)(const volatile void*));
__attribute__((weak)) size_t __sanitizer_get_allocated_size(const volatile void*);
}

namespace backplane::testkit {

class PluginFile {
  public:
    // Throws std::runtime_error with the reason.
    explicit PluginFile(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
        if (!handle_) throw std::runtime_error(std::string("it cannot be loaded: ") + ::dlerror());
        const auto* plugin = static_cast<const bp_plugin*>(::dlsym(handle_, BP_PLUGIN_SYMBOL));
        const std::string fault = find_types(plugin);
        if (fault.empty()) return;
        ::dlclose(handle_);
        throw std::runtime_error(fault);
    }
    ~PluginFile() { ::dlclose(handle_); }
    PluginFile(const PluginFile&) = delete;
    PluginFile& operator=(const PluginFile&) = delete;

    const bp_device_types& types() const { return *types_; }
    const bp_device_type* type(std::string_view name) const {
        for (u32 i = 0; i < types_->count; ++i)
            if (to_view(types_->types[i]->type) == name) return types_->types[i];
        return nullptr;
    }

  private:
    std::string find_types(const bp_plugin* plugin) {
        if (!plugin) return "it exports no data symbol `" BP_PLUGIN_SYMBOL "`";
        if (plugin->magic != BP_PLUGIN_MAGIC) return "its symbol has a wrong magic number";
        if (plugin->size != sizeof(bp_plugin) || plugin->size_at_end != sizeof(bp_plugin) || !plugin->factory)
            return "its symbol has another layout than the ABI's";
        if (plugin->abi_major != BP_ABI_MAJOR || plugin->abi_minor != BP_ABI_MINOR)
            return "its code is of another version of the ABI than its manifest";
        types_ = static_cast<const bp_device_types*>(plugin->factory(to_bp(BP_DEVICE_TYPES_ID)));
        if (!types_ || types_->size != sizeof(bp_device_types)) return "its factory gives no list of device types";
        for (u32 i = 0; i < types_->count; ++i)
            if (!types_->types[i]) return "its list of device types has a hole";
        return plugin->factory(to_bp("check.nothing/1")) ? "its factory gives something for every id" : "";
    }
    void* handle_;
    const bp_device_types* types_ = nullptr;
};

namespace detail {

// Whether anything of the file is mapped into this process.
inline bool is_mapped(const std::string& path) {
    struct stat wanted {};
    if (::stat(path.c_str(), &wanted) != 0) return false;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        std::istringstream fields(line);
        std::string range, flags, offset, device;
        unsigned long long inode = 0;
        fields >> range >> flags >> offset >> device >> inode;
        if (inode == wanted.st_ino) return true;
    }
    return false;
}

// Bytes in use, from any fixed number on.
inline i64 allocated_bytes() {
    if (__sanitizer_install_malloc_and_free_hooks && __sanitizer_get_allocated_size) {
        // For each static object with a destructor the sanitizer enters a function of its own into the C library's list
        // of what to do at exit, and that stays there. The list grows by blocks of this size, which do not count.
        static constexpr std::size_t kExitBlock = 1040;
        static std::atomic<i64> sum;
        [[maybe_unused]] static const int installed = __sanitizer_install_malloc_and_free_hooks(
            [](const volatile void*, size_t bytes) {
                if (bytes != kExitBlock) sum += static_cast<i64>(bytes);
            },
            [](const volatile void* at) {
                const std::size_t bytes = at ? __sanitizer_get_allocated_size(at) : 0;
                if (bytes != kExitBlock) sum -= static_cast<i64>(bytes);
            });
        return sum;
    }
    const struct mallinfo2 info = ::mallinfo2();
    return static_cast<i64>(info.uordblks + info.hblkhd);
}

}  // namespace detail

// Loads the file, runs a device of the type for a moment, unloads it, again and again: nothing of it may stay behind.
inline void check_unload(const std::string& path, const std::string& type, Subject s, u64 cycles, Case& check) {
    constexpr u64 kWarmUp = 4, kParts = 4;
    // An allocator keeps some memory for itself, now more, now less; what a device loses, it loses each time.
    const u64 part = std::max<u64>(cycles / kParts, 1);
    const i64 tolerance = static_cast<i64>(512 + 8 * part);
    const auto once = [&] {
        check.doing("dlopen()");
        {
            const PluginFile file(path);
            s.type = file.type(type);
            check.require(s.type, "it has lost the type " + type);
            const auto rig = s.running(check);
            Random random(s.seed);
            for (u64 i = 0; i < 20; ++i) rig->step(random);
            rig->settle();
            check.doing("stop(), destroy() and dlclose()");
        }
        check.require(!detail::is_mapped(path),
                      "after dlclose() it is still in memory (unique symbols, thread_local objects, threads?)");
    };
    for (u64 i = 0; i < kWarmUp; ++i) once();
    // Threads that end late make it look so, now and then; not three times.
    i64 lost = 0;
    for (unsigned attempt = 0; attempt < 3; ++attempt) {
        const i64 first = detail::allocated_bytes();
        i64 before = first;
        bool grows = true;
        for (u64 n = 0; n < kParts * part; ++n) {
            once();
            if ((n + 1) % part) continue;
            const i64 now = detail::allocated_bytes();
            grows = grows && now > before + tolerance;
            before = now;
        }
        lost = before - first;
        if (!grows) return;
    }
    check.require(false, "each load, run and unload leaves memory behind: " + std::to_string(lost) + " bytes after " +
                             std::to_string(kParts * part) + " times");
}

}  // namespace backplane::testkit
