#include "kernel/config/error.hpp"

namespace backplane::kernel {

std::string Position::text() const {
    if (!file) return {};
    if (line <= 0) return *file;
    return *file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string Position::directory() const {
    if (!from_file()) return {};
    const auto slash = file->rfind('/');
    if (slash == std::string::npos) return {};
    return slash == 0 ? "/" : file->substr(0, slash);
}

Position position_of_option(std::string_view option) { return {std::make_shared<const std::string>(option), 0, 0}; }

std::string Error::with_place(const Position& position, const std::string& text) {
    const std::string place = position.text();
    return place.empty() ? text : place + ": " + text;
}

}  // namespace backplane::kernel
