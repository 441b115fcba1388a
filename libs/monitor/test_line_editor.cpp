#include <catch2/catch.hpp>

#include "monitor/line_editor.hpp"

using backplane::monitor::LineEditor;

namespace {

// A terminal of one line: what stands on it now.
struct Terminal {
    std::string row;
    std::size_t column = 0;
    std::vector<std::string> lines;
    LineEditor editor{"> ",
                      {[this](const std::string& text) { show(text); },
                       [this](const std::string& line) {
                           lines.push_back(line);
                           editor.prompt();
                       },
                       [](const std::string& line) {
                           return line == "in" || line == "inf" ? std::vector<std::string>{"info", "infer"}
                                  : line == "info"              ? std::vector<std::string>{"info"}
                                                                : std::vector<std::string>{};
                       }}};
    Terminal() { editor.prompt(); }

    void show(const std::string& text) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '\r') {
                column = 0;
            } else if (text[i] == '\n') {
                row.clear();
            } else if (text[i] == 0x1b) {
                std::size_t n = 0;
                for (i += 2; text[i] >= '0' && text[i] <= '9'; ++i)
                    n = 10 * n + static_cast<std::size_t>(text[i] - '0');
                if (text[i] == 'D') column -= n;
                if (text[i] == 'K') row.resize(std::min(row.size(), column));
            } else {
                row.resize(std::max(row.size(), column + 1), ' ');
                row[column++] = text[i];
            }
        }
    }
    std::string type(const std::string& keys) { return editor.feed(keys), row; }
};

}  // namespace

TEST_CASE("a line is edited with the cursor keys") {
    Terminal t;
    CHECK(t.type("helo") == "> helo");
    CHECK(t.type("\x1b[D") == "> helo");
    CHECK(t.type("l") == "> hello");
    CHECK(t.type("\x1b[H1\x1b[F2") == "> 1hello2");
    CHECK(t.type("\x7f\x08") == "> 1hell");
    CHECK(t.type("\x1b[1~\x1b[3~") == "> hell");
    CHECK(t.type("\x05 a b\x17") == "> hell a ");
    CHECK(t.type("\x02\x02\x0b") == "> hell ");
    t.type("\r\n");
    t.type("\x15x\n");
    CHECK(t.lines == std::vector<std::string>{"hell ", "x"});
}

TEST_CASE("earlier lines come back, and what was begun does too") {
    Terminal t;
    t.type("one\rtwo\rthr");
    CHECK(t.type("\x1b[A") == "> two");
    CHECK(t.type("\x1b[A\x1b[A") == "> one");
    CHECK(t.type("\x1b[B\x1b[B") == "> thr");
    CHECK(t.type("\x1bOA") == "> two");
}

TEST_CASE("words are completed as far as they are certain") {
    Terminal t;
    CHECK(t.type("in\t") == "> inf");
    CHECK(t.type("\t") == "> inf");  // after a list of both
    CHECK(t.type("o\t") == "> info ");
    CHECK(t.type("zzz\t") == "> info zzz");
}

TEST_CASE("telnet's negotiation and broken sequences are no text") {
    Terminal t;
    CHECK(t.type("a\xff\xfb\x01"
                 "b\xff\xfa\x18\x01xterm\xff\xf0"
                 "c\x1b[12;9Zd\x1b"
                 "xe") == "> abcde");
    t.type(std::string(10000, 'y') + "\r");
    CHECK(t.lines.at(0).size() == LineEditor::kMostBytes);
}
