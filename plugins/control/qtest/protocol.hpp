// The qtest protocol (docs/qtest.md): one command a line, one answer a line, interrupts in between. Knows no socket.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace backplane::qtest {

class Protocol {
  public:
    using Json = nlohmann::json;
    // Runs a command of the machine (docs/control.md), or throws an exception whose text says why not.
    using Call = std::function<Json(const std::string& command, const Json& arguments)>;
    explicit Protocol(Call call) : call_(std::move(call)) {}

    // The answer to one line, without its end.
    std::string answer(std::string_view line);
    // What an event of the machine (as JSON) tells the client: a line without its end, or "".
    static std::string interrupt(std::string_view event);
    // The client has gone: nothing is intercepted any more.
    void forget();

  private:
    using Words = std::vector<std::string>;
    std::string port(const Words& words);
    std::string memory(const Words& words);
    std::string range(const Words& words);
    std::string clock(const Words& words);
    std::string intercept(const Words& words);
    std::string read_range(std::uint64_t address, std::uint64_t size);
    void write_range(std::uint64_t address, const std::string& hex);

    Call call_;
    std::string intercepted_;  // device; "": none
    bool outputs_ = false;
};

}  // namespace backplane::qtest
