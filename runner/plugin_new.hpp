// A new plugin from a template: the files of share/backplane/template/<kind> with the plugin's name put in.
#pragma once

#include <string>

#include "kernel/config/search.hpp"

namespace backplane::runner {

// "blinker" -> "Blinker", "fast_nic" -> "FastNic".
std::string class_name_of(const std::string& name);

// Why a plugin cannot be called so, or "".
std::string objection_to_name(const std::string& name);

// Makes the folder `parent`/`name` from the template of `kind` and returns its path. A folder or file of that name is
// left alone. Throws Error.
std::string make_plugin(const kernel::SearchPaths& search, const std::string& name, const std::string& kind,
                        const std::string& parent);

}  // namespace backplane::runner
