// One client's conversation, without its socket: bytes in, bytes and commands out. The wire format is QMP: JSON
// objects, a greeting, the negotiation of capabilities (there are none), commands one after the other, events in
// between.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "framer.hpp"

namespace backplane {

class Session {
  public:
    // strict: the first mistake before the negotiation ends the conversation, so that nobody can hide commands in
    // another protocol's request.
    // pretty: what goes out is spread over lines, for people.
    explicit Session(bool strict, bool pretty = false) : strict_(strict), pretty_(pretty) {}

    static std::string greeting(bool pretty = false);
    static std::string error(const std::string& desc);
    // Anything else that the client is told, from one line of JSON.
    void tell(std::string_view json, std::string& out) const;

    struct Call {
        std::string command, arguments;
    };
    // Takes bytes from the front of `data` until a command is to be carried out, all are taken, or the answers have
    // grown long. Answers are appended to `out`.
    std::optional<Call> take(std::string_view& data, std::string& out);
    // The command is done: its value, or {"class", "desc"}.
    void finish(bool good, std::string_view json, std::string& out);

    bool busy() const { return busy_; }              // a command is under way: take() takes nothing
    bool negotiated() const { return negotiated_; }  // wants events
    bool over() const { return over_; }              // to be closed once `out` is sent

  private:
    std::optional<Call> request(const std::string& text, std::string& out);
    void refuse(const std::string& error_class, const std::string& desc, std::string& out);
    void negotiate(const nlohmann::json& request, std::string& out);

    Framer framer_;
    std::string id_;  // of the present request, as JSON; empty: it has none
    bool strict_, pretty_, negotiated_ = false, busy_ = false, over_ = false;
};

}  // namespace backplane
