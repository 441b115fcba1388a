// Commands to the machine from a front end's own thread, one after the other: waits for each answer.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "backplane/abi/host.h"

namespace backplane::control {

// Why a command failed.
class CallError : public std::runtime_error {
  public:
    CallError(std::string error_class, const std::string& text)
        : std::runtime_error(text), error_class_(std::move(error_class)) {}
    const std::string& error_class() const { return error_class_; }  // "GenericError", "DeviceNotFound" ...

  private:
    std::string error_class_;
};

class Caller {
  public:
    using Json = nlohmann::json;
    Caller() = default;
    Caller(const bp_control_api* api, void* self) : api_(api), self_(self) {}

    // Throws CallError. Not in the machine's thread. The machine answers every call, at its own end at the latest.
    Json call(const std::string& command, const Json& arguments = Json::object()) const;

  private:
    const bp_control_api* api_ = nullptr;
    void* self_ = nullptr;
};

}  // namespace backplane::control
