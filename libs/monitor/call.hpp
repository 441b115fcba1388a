// How this library reaches the machine: the commands of docs/control.md.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace backplane::monitor {

using Json = nlohmann::json;
// Runs a command and returns its value, or throws an exception whose text says why not.
using Call = std::function<Json(const std::string& command, const Json& arguments)>;

}  // namespace backplane::monitor
