#include "runner/ctl_forms.hpp"

#include <algorithm>
#include <filesystem>
#include <map>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"

namespace backplane::runner {

using nlohmann::json;
using Words = std::vector<std::string>;

namespace {

// The machine may have another current folder.
std::string whole(const std::string& file) { return std::filesystem::absolute(file).lexically_normal().string(); }

json keys(const std::string& combination) {
    json list = json::array();
    for (std::size_t begin = 0; begin <= combination.size();) {
        const auto end = std::min(combination.find('-', begin), combination.size());
        list.push_back({{"type", "qcode"}, {"data", combination.substr(begin, end - begin)}});
        begin = end + 1;
    }
    return list;
}

ShortForm plain(const char* name, const char* command, const char* help) {
    return {name, name, help, 0, 0, [command](const Words&, bool) { return Call{command}; }};
}

json object_of(const std::string& text) {
    json value = json::parse(text, nullptr, false);
    if (!value.is_object()) throw kernel::Error("the arguments are no JSON object: " + text);
    return value;
}

// key=value by the type that the command declares.
json typed(const std::string& key, const std::string& text, const json& declared) {
    for (const json& a : declared)
        if (a.value("name", "") == key && a.value("type", "") == "text") return text;
    return parse_value(text);
}

void append_tree(std::string& out, const json& devices, const json& parent, const std::string& indent) {
    for (const json& d : devices) {
        if (d.at("parent") != parent) continue;
        out += indent + d.at("name").get<std::string>() + "  " + d.at("type").get<std::string>();
        if (d.at("on").is_string()) out += "  on " + d.at("on").get<std::string>();
        for (const json& r : d.at("regions"))
            for (const json& base : r.at("at")) {
                char place[64];
                std::snprintf(place, sizeof place, "  %s 0x%llx", r.at("kind").get<std::string>().c_str(),
                              base.get<unsigned long long>());
                out += place;
            }
        out += "\n";
        append_tree(out, devices, d.at("name"), indent + "  ");
    }
}

}  // namespace

const std::vector<ShortForm>& short_forms() {
    static const std::vector<ShortForm> forms = {
        plain("status", "query-status", "whether the machine runs"),
        plain("stats", "query-stats", "instructions and time"),
        plain("reset", "system_reset", "resets the machine"),
        plain("powerdown", "system_powerdown", "presses the power button"),
        {"tree", "tree", "the devices, each under what it sits on", 0, 0,
         [](const Words&, bool) {
             return Call{"device-list", json::object(), Call::Show::kTree};
         }},
        {"get", "get PATH", "declared state: DEVICE, DEVICE.field, DEVICE.field[3]", 1, 1,
         [](const Words& w, bool) {
             return Call{"state-get", {{"path", w[0]}}, Call::Show::kValue};
         }},
        {"set", "set PATH VALUE", "sets a field of declared state", 2, 2,
         [](const Words& w, bool) {
             return Call{"state-set", {{"path", w[0]}, {"value", parse_value(w[1])}}};
         }},
        {"hmp", "hmp TEXT", "a line of the monitor", 1, 1,
         [](const Words& w, bool) {
             return Call{"human-monitor-command", {{"command-line", w[0]}}, Call::Show::kText};
         }},
        {"key", "key NAME[-NAME...]", "presses keys", 1, 1,
         [](const Words& w, bool) {
             return Call{"send-key", {{"keys", keys(w[0])}}};
         }},
        {"screendump", "screendump FILE", "the picture of the screen: PNG if FILE ends in .png, otherwise PPM", 1, 1,
         [](const Words& w, bool) {
             const bool png = w[0].ends_with(".png");
             return Call{"screendump", {{"filename", whole(w[0])}, {"format", png ? "png" : "ppm"}}};
         }},
        {"save", "save FILE", "saves the machine's state", 1, 1,
         [](const Words& w, bool) {
             return Call{"save-state", {{"path", whole(w[0])}}};
         }},
        {"load", "load FILE [--force]", "restores it; --force: even if a disk has changed", 1, 1,
         [](const Words& w, bool force) {
             return Call{"load-state", {{"path", whole(w[0])}, {"force", force}}};
         }},
        {"reload", "reload NAME|FILE.so", "puts a new build of a plugin in the running one's place", 1, 1,
         [](const Words& w, bool) {
             return Call{"plugin-reload", {{"plugin", w[0].ends_with(".so") ? whole(w[0]) : w[0]}}};
         }},
        {"engine", "engine NAME", "lets the CPUs go on with another engine", 1, 1,
         [](const Words& w, bool) {
             return Call{"engine-set", {{"engine", w[0]}}};
         }},
        {"trace", "trace [PATTERNS]", "sets what is traced, or lists it", 0, 1,
         [](const Words& w, bool) {
             return w.empty() ? Call{"trace-list", json::object(), Call::Show::kTrace}
                              : Call{"trace-set", {{"patterns", w[0]}}};
         }},
        {"log", "log LEVELS", "sets what is logged: DEVICE=LEVEL,...", 1, 1,
         [](const Words& w, bool) {
             return Call{"log-set", {{"levels", w[0]}}};
         }},
    };
    return forms;
}

json parse_value(const std::string& word) {
    if (const auto number = kernel::parse_number(word)) return *number;
    json value = json::parse(word, nullptr, false);
    return value.is_discarded() ? json(word) : value;
}

Call make_call(const Words& words, bool force, const std::function<json(const std::string&)>& arguments_of) {
    const Words rest(words.begin() + 1, words.end());
    for (const ShortForm& f : short_forms()) {
        if (f.name != words[0]) continue;
        // A command of the same name may be given its own arguments.
        const bool own = !rest.empty() && (rest[0].starts_with('{') || rest[0].find('=') != std::string::npos);
        if (own && f.name == "screendump") break;
        if (rest.size() < f.least || rest.size() > f.most)
            throw kernel::Error("usage: backplane ctl " + f.usage + ": " + f.help);
        return f.make(rest, force);
    }
    Call call{words[0]};
    if (rest.size() == 1 && rest[0].starts_with('{')) {
        call.arguments = object_of(rest[0]);
    } else if (!rest.empty()) {
        const json declared = arguments_of(words[0]);
        for (const std::string& word : rest) {
            const auto equals = word.find('=');
            if (equals == std::string::npos || equals == 0)
                throw kernel::Error("expected key=value or a JSON object after " + words[0] + ", found " + word);
            const std::string key = word.substr(0, equals);
            call.arguments[key] = typed(key, word.substr(equals + 1), declared);
        }
    }
    if (force) call.arguments["force"] = true;
    return call;
}

std::string show(const Call& call, const json& value, bool pretty) {
    const auto text = [&](const json& v) {
        return v.dump(pretty ? 2 : -1, ' ', false, json::error_handler_t::replace) + "\n";
    };
    try {
        switch (call.show) {
            case Call::Show::kText: return value.get<std::string>();
            case Call::Show::kValue: return text(value.size() == 1 ? *value.begin() : value);
            case Call::Show::kTree: {
                std::string out;
                append_tree(out, value, nullptr, "");
                return out;
            }
            case Call::Show::kTrace: {
                std::string out;
                for (const json& p : value)
                    if (p.at("enabled").get<bool>()) out += p.at("name").get<std::string>() + "\n";
                return out;
            }
            case Call::Show::kJson: break;
        }
    } catch (const json::exception&) {
        // Another version's machine may return something else.
    }
    return text(value);
}

}  // namespace backplane::runner
