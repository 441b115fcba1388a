/// @file
/// BACKPLANE_COMMAND_LINE_PLUGIN: a plugin that translates foreign command lines and has no device types.
#pragma once

#include "backplane/abi/command_line.h"
#include "backplane/plugin.hpp"

namespace backplane::detail {

/// What such a plugin's manifest says besides.
inline constexpr std::string_view kProvidesCommandLine = ",\"provides\":[\"" BP_COMMAND_LINE_ID "\"]}";

/// The manifest's text; with w.data == nullptr it only counts.
constexpr void write_command_line_manifest(Writer& w, std::string_view id, std::string_view version,
                                           std::string_view licence, std::string_view needs) {
    write_manifest<>(w, id, version, licence, kFrontend, needs);
    --w.size;  // the closing brace
    w.put(kProvidesCommandLine);
}
/// Length of the manifest's text in bytes.
constexpr std::size_t command_line_manifest_size(std::string_view id, std::string_view version,
                                                 std::string_view licence, std::string_view needs) {
    Writer w;
    write_command_line_manifest(w, id, version, licence, needs);
    return w.size;
}
/// The manifest, made at compile time; N is command_line_manifest_size() of the same arguments.
template <std::size_t N>
constexpr Manifest<N> make_command_line_manifest(std::string_view id, std::string_view version,
                                                 std::string_view licence, std::string_view needs) {
    Manifest<N> m{};
    for (int i = 0; i < 8; ++i) m.header.magic[i] = BP_MANIFEST_MAGIC[i];
    m.header.abi_major = BP_ABI_MAJOR, m.header.abi_minor = BP_ABI_MINOR, m.header.text_size = N;
    Writer w{m.text, 0};
    write_command_line_manifest(w, id, version, licence, needs);
    return m;
}

/// A list of no device types: every plugin's factory gives one.
inline constexpr bp_device_types kNoTypes{sizeof(bp_device_types), 0, nullptr};

/// The factory of a plugin whose table of bp.command-line/1 is Table.
template <const bp_command_line& Table>
const void* command_line_factory(bp_str id) noexcept {
    if (to_view(id) == BP_DEVICE_TYPES_ID) return &kNoTypes;
    return to_view(id) == BP_COMMAND_LINE_ID ? &Table : nullptr;
}

}  // namespace backplane::detail

/// BACKPLANE_COMMAND_LINE_PLUGIN(id, version, licence, needs, table): once in plugin.cpp, at namespace scope. `table`
/// is a bp_command_line with static storage.
#define BACKPLANE_COMMAND_LINE_PLUGIN(ID, VERSION, LICENCE, NEEDS, TABLE)                                \
    extern "C" {                                                                                         \
    __attribute__((section(BP_MANIFEST_SECTION), used)) constexpr auto backplane_manifest =              \
        ::backplane::detail::make_command_line_manifest<::backplane::detail::command_line_manifest_size( \
            ID, VERSION, LICENCE, NEEDS)>(ID, VERSION, LICENCE, NEEDS);                                  \
    __attribute__((visibility("default"))) extern const bp_plugin backplane_plugin;                      \
    const bp_plugin backplane_plugin = {BP_PLUGIN_MAGIC,                                                 \
                                        sizeof(bp_plugin),                                               \
                                        BP_ABI_MAJOR,                                                    \
                                        BP_ABI_MINOR,                                                    \
                                        ::backplane::to_bp(ID),                                          \
                                        ::backplane::to_bp(VERSION),                                     \
                                        ::backplane::to_bp(LICENCE),                                     \
                                        {backplane_manifest.text, sizeof backplane_manifest.text},       \
                                        ::backplane::detail::command_line_factory<TABLE>,                \
                                        sizeof(bp_plugin)};                                              \
    }
