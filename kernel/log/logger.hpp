// The log: to standard error, a level per device, and the four named kinds of ignorance once each.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "backplane/abi/host.h"
#include "backplane/types.hpp"

namespace backplane::kernel {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

class Logger {
  public:
    Logger();  // standard error, level info
    // To `sink` instead (tests, a monitor): called with a whole line without its end.
    explicit Logger(std::function<void(std::string_view line)> sink);
    ~Logger();
    Logger(const Logger&) = delete;
    Logger& operator=(const Logger&) = delete;

    // "disk0=debug,*=warn": device patterns with * and levels debug info warn error off; the last match counts. Throws
    // Error.
    void configure(std::string_view spec, const std::string& option = "--log");

    // A number that stands for the device in the fast calls below. Any thread.
    u32 device(std::string_view name);

    // kind: BP_LOG_*. Kinds of ignorance show from level warn (guest, unimplemented) or debug (unusual, unverified).
    // Each text of a device is written once, and no more than a few new ones per second. Any thread.
    void log(u32 device, u32 kind, std::string_view text);
    bool enabled(u32 device, u32 kind) const;

    void log(std::string_view device, u32 kind, std::string_view text) { log(this->device(device), kind, text); }
    bool enabled(std::string_view device, u32 kind) { return enabled(this->device(device), kind); }

    // Messages that were held back by repetition or rate, by now.
    u64 suppressed() const;
    void flush();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace backplane::kernel
