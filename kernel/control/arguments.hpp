// The arguments of a control command: declared as data, checked before the command runs.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "backplane/types.hpp"

namespace backplane::kernel {

using Json = nlohmann::json;

// Why a command failed, as the client gets it.
class CommandError : public std::runtime_error {
  public:
    // `error_class`: GenericError, CommandNotFound, DeviceNotFound.
    CommandError(std::string error_class, const std::string& text)
        : std::runtime_error(text), error_class_(std::move(error_class)) {}
    explicit CommandError(const std::string& text) : CommandError("GenericError", text) {}
    const std::string& error_class() const { return error_class_; }
    Json json() const;  // {"class": ..., "desc": ...}

  private:
    std::string error_class_;
};

// `name`, and the known name that it is near to. A client may send names of any length.
std::string quoted_name(std::string_view name, const std::vector<std::string>& known);

struct ArgumentSpec {
    enum class Type { kText, kNumber, kBool, kList, kAny };
    std::string name;
    Type type = Type::kText;
    bool optional = false;
    std::string help = {};

    const char* type_name() const;  // "text", "number", "bool", "list", "any"
};

class Arguments {
  public:
    // `given` is the text of a JSON object, or empty. Throws CommandError that names a missing, unknown or wrong
    // argument.
    Arguments(const std::vector<ArgumentSpec>& specs, std::string_view given);

    bool has(const char* name) const { return values_.contains(name); }
    // Of a declared argument of that type; the fallback stands for one that was left out.
    std::string text(const char* name, const std::string& fallback = {}) const { return values_.value(name, fallback); }
    i64 number(const char* name, i64 fallback = 0) const { return values_.value(name, fallback); }
    bool flag(const char* name, bool fallback = false) const { return values_.value(name, fallback); }
    const Json& value(const char* name) const;  // null if it was left out

  private:
    Json values_ = Json::object();
};

}  // namespace backplane::kernel
