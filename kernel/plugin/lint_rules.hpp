// Which functions of the host a plugin may import, by its kind and by what its manifest says that it needs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backplane/types.hpp"
#include "kernel/plugin/manifest.hpp"

namespace backplane::kernel {

// Kinds and needs as bits, for the rules.
inline constexpr u32 kKindDevice = 1, kKindBackend = 2, kKindEngine = 4, kKindFrontend = 8;
inline constexpr u32 kNeedFiles = 1, kNeedNetwork = 2, kNeedThreads = 4, kNeedAny = 7;
u32 kind_bit(std::string_view kind);
u32 need_bit(std::string_view need);  // 0: unknown

// Functions that mean the same for a machine.
struct ImportGroup {
    std::string_view does;     // "opens or changes host files"
    std::string_view instead;  // what a plugin does instead
    u32 kinds = 0;             // free for these kinds
    u32 needs = 0;             // for the other kinds but devices: free with any of these needs
};

struct ImportMatch {
    const ImportGroup* group = nullptr;
    std::string_view readable;  // "std::thread" for a mangled name; else empty
};

// The group that an imported symbol belongs to; nothing for a harmless one.
std::optional<ImportMatch> match_import(std::string_view symbol);

bool allowed(const ImportGroup& group, u32 kind, u32 needs);
// The whole of what is wrong: what the function does, why this plugin must not, what to do instead.
std::string objection(const ImportGroup& group, const Manifest& manifest);

// Libraries that a plugin may be linked with.
enum class LibraryVerdict { kRuntime, kSanitizer, kOther, kKernels };
LibraryVerdict judge_library(std::string_view name);

}  // namespace backplane::kernel
