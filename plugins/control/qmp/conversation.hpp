// For tests: a client that says bytes and gets bytes; commands are answered by name at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "session.hpp"

namespace backplane {

struct Conversation {
    explicit Conversation(bool strict = false) : session(strict) {}

    // What comes back. "fail" fails; any other command returns its arguments.
    std::string say(std::string_view bytes) {
        std::string out;
        while (!bytes.empty() && !session.over()) {
            std::string some;
            const auto call = session.take(bytes, some);
            out += some;
            if (!call) continue;
            calls.push_back(call->command + call->arguments);
            std::string answer;
            const bool good = call->command != "fail";
            session.finish(good,
                           good ? (call->arguments.empty() ? "{}" : call->arguments)
                                : R"({"class":"GenericError","desc":"it failed"})",
                           answer);
            out += answer;
        }
        return out;
    }
    // After the negotiation.
    static Conversation ready() {
        Conversation c;
        c.say(R"({"execute": "qmp_capabilities"})");
        return c;
    }

    Session session;
    std::vector<std::string> calls;
};

inline std::string refusal(const std::string& desc, const std::string& error_class = "GenericError") {
    return "{\"error\": {\"class\":\"" + error_class + "\",\"desc\":\"" + desc + "\"}}\r\n";
}

}  // namespace backplane
