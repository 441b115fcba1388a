#include "monitor/line_editor.hpp"

#include <algorithm>
#include <utility>

namespace backplane::monitor {

namespace {
constexpr char kEscape = 0x1b;
constexpr char kInterpretAsCommand = static_cast<char>(0xff);  // telnet (RFC 854)
constexpr char kSubnegotiation = static_cast<char>(0xfa), kWill = static_cast<char>(0xfb),
               kEnd = static_cast<char>(0xf0);
std::string back(std::size_t columns) { return columns ? "\x1b[" + std::to_string(columns) + "D" : ""; }
}  // namespace

void LineEditor::prompt() {
    line_.clear(), kept_.clear();
    cursor_ = 0, place_ = history_.size();
    hooks_.show(prompt_);
}

void LineEditor::feed(std::string_view bytes) {
    for (const char c : bytes) switch (state_) {
            case State::kPlain: plain(c); break;
            case State::kEscape:
                state_ = c == '[' || c == 'O' ? State::kBracket : State::kPlain;
                parameter_.clear();
                break;
            case State::kBracket: bracket(c); break;
            case State::kTelnet:
                state_ =
                    c == kSubnegotiation ? State::kTelnetSub
                    : static_cast<unsigned char>(c) >= static_cast<unsigned char>(kWill) && c != kInterpretAsCommand
                        ? State::kTelnetOption
                        : State::kPlain;
                break;
            case State::kTelnetOption: state_ = State::kPlain; break;
            case State::kTelnetSub:
                if (c == kInterpretAsCommand) state_ = State::kTelnetSubEnd;
                break;
            case State::kTelnetSubEnd: state_ = c == kEnd ? State::kPlain : State::kTelnetSub; break;
        }
}

void LineEditor::plain(char c) {
    const bool after_return = std::exchange(after_return_, false);
    switch (c) {
        case '\r': after_return_ = true; return enter();
        case '\n':
            if (!after_return) enter();
            return;
        case kEscape: state_ = State::kEscape; return;
        case kInterpretAsCommand: state_ = State::kTelnet; return;
        case '\t': return complete();
        case 0x08:
        case 0x7f:
            if (cursor_ > 0) erase(cursor_ - 1, cursor_);
            return;
        case 0x01: return move(0);                          // Ctrl-A
        case 0x05: return move(line_.size());               // Ctrl-E
        case 0x02: return move(cursor_ ? cursor_ - 1 : 0);  // Ctrl-B
        case 0x06: return move(std::min(cursor_ + 1, line_.size()));
        case 0x04: return erase(cursor_, std::min(cursor_ + 1, line_.size()));
        case 0x0b: return erase(cursor_, line_.size());  // Ctrl-K
        case 0x15: return erase(0, cursor_);             // Ctrl-U
        case 0x0e: return history(1);
        case 0x10: return history(-1);
        case 0x17: {  // Ctrl-W
            std::size_t from = cursor_;
            while (from > 0 && line_[from - 1] == ' ') --from;
            while (from > 0 && line_[from - 1] != ' ') --from;
            return erase(from, cursor_);
        }
        default:
            if (static_cast<unsigned char>(c) >= 0x20) insert({&c, 1});
    }
}

void LineEditor::bracket(char c) {
    if ((c >= '0' && c <= '9') || c == ';') {
        if (parameter_.size() < 16) parameter_ += c;
        return;
    }
    state_ = State::kPlain;
    switch (c) {
        case 'A': return history(-1);
        case 'B': return history(1);
        case 'C': return move(std::min(cursor_ + 1, line_.size()));
        case 'D': return move(cursor_ ? cursor_ - 1 : 0);
        case 'H': return move(0);
        case 'F': return move(line_.size());
        case '~':
            if (parameter_ == "1" || parameter_ == "7") return move(0);
            if (parameter_ == "4" || parameter_ == "8") return move(line_.size());
            if (parameter_ == "3") return erase(cursor_, std::min(cursor_ + 1, line_.size()));
            return;
        default: return;
    }
}

// What stands from the cursor on, anew, and the cursor back in its place.
void LineEditor::redraw_tail() {
    const std::string tail = line_.substr(cursor_);
    hooks_.show(tail + "\x1b[K" + back(tail.size()));
}

void LineEditor::insert(std::string_view text) {
    if (line_.size() + text.size() > kMostBytes) return;
    line_.insert(cursor_, text);
    cursor_ += text.size();
    hooks_.show(std::string(text));
    if (cursor_ < line_.size()) redraw_tail();
}

void LineEditor::erase(std::size_t from, std::size_t to) {
    if (from == to) return;
    move(from);
    line_.erase(from, to - from);
    redraw_tail();
}

void LineEditor::move(std::size_t to) {
    if (to < cursor_)
        hooks_.show(back(cursor_ - to));
    else if (to > cursor_)
        hooks_.show(line_.substr(cursor_, to - cursor_));
    cursor_ = to;
}

void LineEditor::replace(const std::string& text) {
    move(0);
    line_ = text;
    cursor_ = line_.size();
    hooks_.show(line_ + "\x1b[K");
}

void LineEditor::history(int step) {
    if ((step < 0 && place_ == 0) || (step > 0 && place_ >= history_.size())) return;
    if (place_ == history_.size()) kept_ = line_;
    place_ = step < 0 ? place_ - 1 : place_ + 1;
    replace(place_ == history_.size() ? kept_ : history_[place_]);
}

void LineEditor::complete() {
    if (!hooks_.complete || cursor_ != line_.size()) return;
    std::vector<std::string> words = hooks_.complete(line_);
    if (words.empty()) return;
    std::string common = words[0];
    for (const std::string& w : words) {
        std::size_t n = 0;
        while (n < common.size() && n < w.size() && common[n] == w[n]) ++n;
        common.resize(n);
    }
    const auto last = line_.find_last_of(" \t");
    const std::size_t begun = line_.size() - (last == std::string::npos ? 0 : last + 1);
    if (common.size() > begun || words.size() == 1)
        return insert(common.substr(std::min(begun, common.size())) + (words.size() == 1 ? " " : ""));
    std::string list = "\r\n";
    for (const std::string& w : words) list += w + "  ";
    hooks_.show(list + "\r\n" + prompt_ + line_);
}

void LineEditor::enter() {
    move(line_.size());
    hooks_.show("\r\n");
    const std::string line = line_;
    if (!line.empty() && (history_.empty() || history_.back() != line)) {
        history_.push_back(line);
        if (history_.size() > kMostHistory) history_.erase(history_.begin());
    }
    line_.clear(), cursor_ = 0;
    hooks_.line(line);
}

}  // namespace backplane::monitor
