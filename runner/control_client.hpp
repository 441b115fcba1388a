// The other end of a control socket: connects, negotiates, runs commands, hears events.
#pragma once

#include <deque>
#include <optional>
#include <stdexcept>
#include <string>

#include <nlohmann/json.hpp>

namespace backplane::runner {

// The command was carried out and failed, or was refused.
class CommandFailed : public std::runtime_error {
  public:
    CommandFailed(std::string name, const std::string& text) : std::runtime_error(text), error_class(std::move(name)) {}
    std::string error_class;
};

class ControlClient {
  public:
    // Throws kernel::Error with exit code 2 if this is no address, 1 if nobody answers there.
    explicit ControlClient(const std::string& address);
    ~ControlClient();
    ControlClient(const ControlClient&) = delete;
    ControlClient& operator=(const ControlClient&) = delete;

    // Waits for the answer. Throws CommandFailed, or kernel::Error if the connection breaks.
    nlohmann::json call(const std::string& command, const nlohmann::json& arguments = nlohmann::json::object());
    // Waits for the next event; nullopt: the machine has closed the connection.
    std::optional<nlohmann::json> event();

  private:
    // The next line; nullopt at the end of the stream. `ms` < 0: waits however long.
    std::optional<nlohmann::json> line(int ms = -1);
    void send(const nlohmann::json& request);

    std::string address_, pending_;
    std::deque<nlohmann::json> events_;
    int fd_ = -1;
};

}  // namespace backplane::runner
