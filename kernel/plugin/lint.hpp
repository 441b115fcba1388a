// What a plugin file does that it must not, told from the file alone: nothing in it runs.
#pragma once

#include <string>
#include <vector>

#include "kernel/plugin/manifest.hpp"

namespace backplane::kernel {

struct LintFinding {
    std::string what;  // a symbol, a library, a part of the file
    std::string why;
    bool note = false;  // worth knowing, but no reason to refuse the plugin
};

struct LintReport {
    Manifest manifest;
    std::vector<LintFinding> findings;

    bool clean() const;  // nothing but notes
};

// Looks for imports that the plugin's kind and needs do not allow, for what keeps a library from being unloaded, for
// exports besides the plugin's symbol, and for memory that is writable and executable. It finds mistakes; a plugin that
// means to deceive (with its own system calls) is not found out. Throws Error (kExitPlugin) if the file is no plugin.
LintReport lint_plugin(const std::string& path);

}  // namespace backplane::kernel
