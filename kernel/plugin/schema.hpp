// JSON Schema for machine and VM files, made from what plugins and boards declare: editors complete and check from it.
#pragma once

#include <string>

#include "kernel/config/search.hpp"
#include "kernel/plugin/registry.hpp"

namespace backplane::kernel {

// Loads every usable plugin; types that cannot be described are left out.
std::string machine_schema(PluginRegistry& registry);
// With the parameters of every machine that the search finds.
std::string vm_schema(PluginRegistry& registry, const SearchPaths& search);

}  // namespace backplane::kernel
