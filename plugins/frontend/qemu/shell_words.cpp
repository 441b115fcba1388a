#include "shell_words.hpp"

namespace backplane::qemu {

std::vector<std::vector<std::string>> shell_commands(std::string_view text) {
    std::vector<std::vector<std::string>> commands(1);
    std::string word;
    bool in_word = false;
    char quote = 0;
    const auto end_word = [&] {
        if (in_word) commands.back().push_back(std::move(word));
        word.clear(), in_word = false;
    };
    const auto end_command = [&] {
        end_word();
        if (!commands.back().empty()) commands.emplace_back();
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const char next = i + 1 < text.size() ? text[i + 1] : 0;
        if (quote == '\'') {
            if (c == quote)
                quote = 0;
            else
                word += c;
        } else if (c == '\\' && next == '\r' && i + 2 < text.size() && text[i + 2] == '\n') {
            i += 2;
        } else if (c == '\\' && next) {
            ++i;
            if (next == '\n') continue;
            // Within double quotes it keeps its meaning before a few characters only.
            if (quote && std::string_view("\"\\$`").find(next) == std::string_view::npos) word += c;
            word += next, in_word = true;
        } else if (quote) {
            if (c == quote)
                quote = 0;
            else
                word += c;
        } else if (c == '"' || c == '\'') {
            quote = c, in_word = true;
        } else if (c == '\n' || c == ';' || c == '&' || c == '|') {
            end_command();
        } else if (c == ' ' || c == '\t' || c == '\r') {
            end_word();
        } else if (c == '#' && !in_word) {
            while (i + 1 < text.size() && text[i + 1] != '\n') ++i;
        } else {
            word += c, in_word = true;
        }
    }
    end_command();
    if (commands.back().empty()) commands.pop_back();
    return commands;
}

}  // namespace backplane::qemu
