#include "session.hpp"

#include <set>
#include <vector>

namespace backplane {

namespace {

using nlohmann::json;

constexpr std::size_t kLongAnswers = 64 << 10;

constexpr int kIndent = 4;

std::string line(const json& value, bool pretty = false) {
    return value.dump(pretty ? kIndent : -1, ' ', false, json::error_handler_t::replace) + "\r\n";
}

json version() {
    const json triple = {{"major", BACKPLANE_MAJOR}, {"minor", BACKPLANE_MINOR}, {"micro", BACKPLANE_MICRO}};
    // Clients of this protocol look for the number under the name of the program that it comes from.
    return {{"qemu", triple}, {"package", "Backplane " BACKPLANE_VERSION}};
}

// A name that comes from the client, for an error text.
std::string shown(const std::string& name) {
    constexpr std::size_t kShown = 80;
    return "`" + (name.size() > kShown ? name.substr(0, kShown) + "..." : name) + "`";
}

// The parsed text; on failure an empty optional and the reason.
std::optional<json> parse(const std::string& text, std::string& why) {
    std::vector<std::set<std::string>> keys;
    const auto no_duplicates = [&](int, json::parse_event_t event, json& value) {
        if (event == json::parse_event_t::object_start) keys.emplace_back();
        if (event == json::parse_event_t::object_end) keys.pop_back();
        if (event == json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second && why.empty())
            why = "key " + shown(value.get<std::string>()) + " stands twice";
        return true;
    };
    try {
        json value = json::parse(text, no_duplicates);
        if (why.empty()) return value;
    } catch (const json::exception&) {
        why = "malformed JSON";
    }
    return std::nullopt;
}

}  // namespace

std::string Session::greeting(bool pretty) {
    return line({{"QMP", {{"version", version()}, {"capabilities", json::array()}}}}, pretty);
}

std::string Session::error(const std::string& desc) {
    return line({{"error", {{"class", "GenericError"}, {"desc", desc}}}});
}

void Session::refuse(const std::string& error_class, const std::string& desc, std::string& out) {
    finish(false, json{{"class", error_class}, {"desc", desc}}.dump(-1, ' ', false, json::error_handler_t::replace),
           out);
}

void Session::finish(bool good, std::string_view value, std::string& out) {
    busy_ = false;
    std::string answer = good ? "{\"return\": " : "{\"error\": ";
    answer += value;
    if (!id_.empty()) answer += ", \"id\": " + id_;
    answer += "}";
    id_.clear();
    tell(answer, out);
}

void Session::tell(std::string_view text, std::string& out) const {
    if (const json value = pretty_ ? json::parse(text, nullptr, false) : json(); pretty_ && !value.is_discarded())
        out += line(value, true);
    else
        (out += text) += "\r\n";
}

std::optional<Session::Call> Session::take(std::string_view& data, std::string& out) {
    while (!busy_ && !over_ && !data.empty() && out.size() < kLongAnswers) {
        const Framer::Piece piece = framer_.next(data);
        if (piece.kind == Framer::Kind::kNothing) break;
        if (piece.kind == Framer::Kind::kText) {
            if (auto call = request(piece.text, out)) return call;
            continue;
        }
        refuse("GenericError", "malformed JSON: " + piece.text, out);
        over_ = piece.kind == Framer::Kind::kTooLong || (strict_ && !negotiated_);
    }
    return std::nullopt;
}

std::optional<Session::Call> Session::request(const std::string& text, std::string& out) {
    std::string why;
    const auto parsed = parse(text, why);
    if (!parsed) {
        refuse("GenericError", why, out);
        over_ = strict_ && !negotiated_;
        return std::nullopt;
    }
    const json& r = *parsed;
    const auto fail = [&](const std::string& desc) {
        refuse("GenericError", desc, out);
        return std::nullopt;
    };
    if (!r.is_object()) return fail("a request must be an object");
    if (const auto id = r.find("id"); id != r.end()) id_ = id->dump(-1, ' ', false, json::error_handler_t::replace);
    for (const auto& [key, value] : r.items())
        if (key != "execute" && key != "arguments" && key != "id") return fail("a request has no member " + shown(key));
    const auto execute = r.find("execute");
    if (execute == r.end()) return fail("a request needs the member `execute`");
    if (!execute->is_string()) return fail("`execute` must be a string");
    const auto arguments = r.find("arguments");
    if (arguments != r.end() && !arguments->is_object()) return fail("`arguments` must be an object");
    const auto& command = execute->get_ref<const std::string&>();
    if (command == "qmp_capabilities") {
        negotiate(arguments == r.end() ? json::object() : *arguments, out);
        return std::nullopt;
    }
    if (!negotiated_) {
        refuse("CommandNotFound", "the capabilities are to be negotiated first, with `qmp_capabilities`", out);
        return std::nullopt;
    }
    busy_ = true;
    return Call{command, arguments == r.end() ? "" : arguments->dump()};
}

void Session::negotiate(const json& arguments, std::string& out) {
    if (negotiated_) return refuse("CommandNotFound", "the capabilities have been negotiated already", out);
    for (const auto& [key, value] : arguments.items()) {
        if (key != "enable") return refuse("GenericError", "unknown argument " + shown(key), out);
        if (!value.is_array()) return refuse("GenericError", "argument `enable`: expected a list", out);
        if (!value.empty()) return refuse("GenericError", "there is no such capability", out);
    }
    negotiated_ = true;
    finish(true, "{}", out);
}

}  // namespace backplane
