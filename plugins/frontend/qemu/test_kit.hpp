// What the tests of the translation share.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "import.hpp"
#include "translator.hpp"

namespace backplane::qemu {

inline Result translated(const std::vector<std::string>& words) {
    return Translator(false).translate(read_arguments(words), "test");
}
// A line of the VM file without its comment and indent.
inline bool says(const Result& result, const std::string& line) {
    return ("\n" + result.machine).find(line + "  #") != std::string::npos ||
           ("\n" + result.machine).find(line + "\n") != std::string::npos;
}
inline bool warned(const Result& result, const std::string& text) {
    return std::any_of(result.warnings.begin(), result.warnings.end(),
                       [&](const std::string& w) { return w.find(text) != std::string::npos; });
}
inline bool runs_with(const Result& result, const std::string& option) {
    return std::any_of(result.run.begin(), result.run.end(), [&](const auto& o) { return o.first == option; });
}
// The text of the refusal; "" if there was none.
inline std::string refusal(const std::vector<std::string>& words) {
    try {
        translated(words);
        return "";
    } catch (const drives::OptionError& e) {
        return e.what();
    }
}

}  // namespace backplane::qemu
