#include "model.hpp"

#include <optional>

namespace backplane {

void HostChardev::describe(Schema<HostChardev>& s) {
    s.doc("A character stream of the host, chosen by a text");
    s.property("target", &HostChardev::target_, {.doc = "null, pty, pty:LINK, file:PATH or unix:PATH", .def = "null"});
    offer(s);
}

bp_status HostChardev::start() {
    const auto after = [&](std::string_view prefix) -> std::optional<std::string> {
        if (target_.compare(0, prefix.size(), prefix) != 0 || target_.size() == prefix.size()) return std::nullopt;
        return target_.substr(prefix.size());
    };
    if (target_ == "null" || target_ == "none") return BP_OK;
    if (target_ == "pty") return begin(chardev::open_pty(""));
    if (const auto link = after("pty:")) return begin(chardev::open_pty(*link));
    if (const auto path = after("file:")) return begin(chardev::open_file(*path, false));
    if (const auto path = after("unix:")) return begin(chardev::open_unix(*path));
    return fail(BP_ERR_INVALID, "expected null, pty, pty:LINK, file:PATH or unix:PATH, found \"%s\"", target_.c_str());
}

}  // namespace backplane
