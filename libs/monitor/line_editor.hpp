// Editing of a line on a terminal (or through telnet): cursor keys, history, completion. Bytes in, bytes and lines out.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace backplane::monitor {

class LineEditor {
  public:
    static constexpr std::size_t kMostBytes = 4096;  // of a line; more is not taken
    static constexpr std::size_t kMostHistory = 64;

    struct Hooks {
        std::function<void(const std::string&)> show;                          // to the terminal
        std::function<void(const std::string&)> line;                          // the user ended a line
        std::function<std::vector<std::string>(const std::string&)> complete;  // may be empty
    };
    LineEditor(std::string prompt, Hooks hooks) : prompt_(std::move(prompt)), hooks_(std::move(hooks)) {}

    void prompt();  // a new, empty line
    void feed(std::string_view bytes);

  private:
    enum class State { kPlain, kEscape, kBracket, kTelnet, kTelnetOption, kTelnetSub, kTelnetSubEnd };
    void plain(char c);
    void bracket(char c);
    void insert(std::string_view text);
    void erase(std::size_t from, std::size_t to);
    void move(std::size_t to);
    void replace(const std::string& text);
    void history(int step);
    void complete();
    void enter();
    void redraw_tail();

    const std::string prompt_;
    Hooks hooks_;
    std::string line_, kept_;  // kept_: what was begun before the user went back in the history
    std::string parameter_;    // of an escape sequence
    std::size_t cursor_ = 0;
    std::vector<std::string> history_;
    std::size_t place_ = 0;  // in the history
    State state_ = State::kPlain;
    bool after_return_ = false;  // a line feed or NUL after it says nothing
};

}  // namespace backplane::monitor
