/// @file
/// BACKPLANE_PLUGIN: the one exported symbol of a plugin, and the manifest that can be read without loading it.
#pragma once

#include <array>
#include <string_view>

#include "backplane/abi/device.h"
#include "backplane/device.hpp"

namespace backplane {

/// Plugin kinds (manifest "kind"); what a plugin of a kind may import stands in the plugin authors' guide. This one:
/// visible to the guest, no access to the host but through its slot.
inline constexpr std::string_view kDevice = "device";
/// A host side: an image, a stream, a display. Holds no state that a guest sees.
inline constexpr std::string_view kBackend = "backend";
/// Executes instructions (bp.cpu/1).
inline constexpr std::string_view kEngine = "engine";
/// Lets users reach the machine: monitors, consoles.
inline constexpr std::string_view kFrontend = "frontend";

/// What stands in the section .backplane.manifest.
template <std::size_t N>
struct Manifest {
    bp_manifest_header header;  ///< magic, ABI version, length of the text
    char text[N];               ///< JSON, not terminated
};

namespace detail {
/// Appends to a character array at compile time; with data == nullptr it only counts.
struct Writer {
    char* data = nullptr;
    std::size_t size = 0;
    constexpr void put(std::string_view s) {
        for (char c : s) {
            if (data) data[size] = c;
            ++size;
        }
    }
    constexpr void quoted(std::string_view s) { put("\""), put(s), put("\""); }
};
/// `needs`: comma-separated list of files, network, threads.
template <class... Types>
constexpr void write_manifest(Writer& w, std::string_view id, std::string_view version, std::string_view licence,
                              std::string_view kind, std::string_view needs) {
    w.put("{\"id\":"), w.quoted(id), w.put(",\"version\":"), w.quoted(version), w.put(",\"licence\":"),
        w.quoted(licence);
    w.put(",\"kind\":"), w.quoted(kind), w.put(",\"types\":[");
    bool first = true;
    ((w.put(first ? "" : ","), w.quoted(Types::kType), first = false), ...);
    w.put("],\"needs\":[");
    first = true;
    while (!needs.empty()) {
        const auto comma = needs.find(',');
        w.put(first ? "" : ","), w.quoted(needs.substr(0, comma)), first = false;
        needs.remove_prefix(comma == std::string_view::npos ? needs.size() : comma + 1);
    }
    w.put("]}");
}
}  // namespace detail

/// The manifest of a plugin, made at compile time; N is manifest_size() of the same arguments.
template <std::size_t N, class... Types>
constexpr Manifest<N> make_manifest(std::string_view id, std::string_view version, std::string_view licence,
                                    std::string_view kind, std::string_view needs) {
    Manifest<N> m{};
    for (int i = 0; i < 8; ++i) m.header.magic[i] = BP_MANIFEST_MAGIC[i];
    m.header.abi_major = BP_ABI_MAJOR, m.header.abi_minor = BP_ABI_MINOR, m.header.text_size = N;
    detail::Writer w{m.text, 0};
    detail::write_manifest<Types...>(w, id, version, licence, kind, needs);
    return m;
}
/// Length of the manifest's text in bytes.
template <class... Types>
constexpr std::size_t manifest_size(std::string_view id, std::string_view version, std::string_view licence,
                                    std::string_view kind, std::string_view needs) {
    detail::Writer w;
    detail::write_manifest<Types...>(w, id, version, licence, kind, needs);
    return w.size;
}

/// The device types of a plugin and its factory function.
template <class... Types>
struct TypeList {
    static constexpr const bp_device_type* list[] = {&DeviceType<Types>::value...};  ///< their ABI tables
    static constexpr bp_device_types value{sizeof(bp_device_types), sizeof...(Types),
                                           list};  ///< what the factory returns
    /// The list for the id "bp.device-types/1", nullptr for others.
    static const void* factory(bp_str id) noexcept { return to_view(id) == BP_DEVICE_TYPES_ID ? &value : nullptr; }
};

}  // namespace backplane

/// BACKPLANE_PLUGIN(id, version, licence, kind, needs, Types...): once in plugin.cpp, at namespace scope.
#define BACKPLANE_PLUGIN(ID, VERSION, LICENCE, KIND, NEEDS, ...)                                                   \
    extern "C" {                                                                                                   \
    __attribute__((section(BP_MANIFEST_SECTION), used)) constexpr auto backplane_manifest =                        \
        ::backplane::make_manifest<                                                                                \
            ::backplane::manifest_size<__VA_ARGS__>(ID, VERSION, LICENCE, ::backplane::KIND, NEEDS), __VA_ARGS__>( \
            ID, VERSION, LICENCE, ::backplane::KIND, NEEDS);                                                       \
    __attribute__((visibility("default"))) extern const bp_plugin backplane_plugin;                                \
    const bp_plugin backplane_plugin = {BP_PLUGIN_MAGIC,                                                           \
                                        sizeof(bp_plugin),                                                         \
                                        BP_ABI_MAJOR,                                                              \
                                        BP_ABI_MINOR,                                                              \
                                        ::backplane::to_bp(ID),                                                    \
                                        ::backplane::to_bp(VERSION),                                               \
                                        ::backplane::to_bp(LICENCE),                                               \
                                        {backplane_manifest.text, sizeof backplane_manifest.text},                 \
                                        ::backplane::TypeList<__VA_ARGS__>::factory,                               \
                                        sizeof(bp_plugin)};                                                        \
    }
