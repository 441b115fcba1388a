#include "monitor/hmp.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "monitor/drives.hpp"
#include "monitor/memory.hpp"
#include "monitor/vm_state.hpp"

namespace backplane::monitor {

namespace {

using Words = std::vector<std::string>;
const Json kNone = Json::object();

std::runtime_error mistake(const std::string& text) { return std::runtime_error(text); }

// Words of a line; "..." is one, with \" and \\ inside.
Words split(std::string_view line) {
    Words words;
    std::string word;
    bool quoted = false, any = false;
    for (std::size_t i = 0; i <= line.size(); ++i) {
        const char c = i < line.size() ? line[i] : ' ';
        if (quoted && i < line.size()) {
            if (c == '"')
                quoted = false;
            else if (c == '\\' && i + 1 < line.size())
                word += line[++i];
            else
                word += c;
        } else if (c == '"') {
            quoted = any = true;
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            if (any) words.push_back(std::exchange(word, {}));
            any = false;
        } else {
            word += c, any = true;
        }
    }
    if (quoted) throw mistake("a quotation mark has no end");
    return words;
}

std::uint64_t number(const std::string& word) {
    char* end = nullptr;
    errno = 0;
    const std::uint64_t value = std::strtoull(word.c_str(), &end, 0);
    if (word.empty() || word[0] == '-' || *end || errno)
        throw mistake("expected a number, found `" + word.substr(0, 40) + "`");
    return value;
}

std::string eject(const Call& call, const Words& w) {
    bool force = false;
    std::string name;
    for (std::size_t i = 1; i < w.size(); ++i)
        if (w[i] == "-f")
            force = true;
        else
            name = w[i];
    if (name.empty()) throw mistake("eject [-f] DRIVE");
    drive_command(call, find_drive(call, name), "eject", {{"force", force}});
    return "";
}

std::string change(const Call& call, const Words& w) {
    if (w.size() < 3 || w.size() > 5) throw mistake("change DRIVE FILE [FORMAT] [read-only|read-write|retain]");
    Json arguments = {{"file", w[2]}};
    if (w.size() > 3) arguments["format"] = w[3];
    if (w.size() > 4 && w[4] != "retain") arguments["read_only"] = w[4] == "read-only";
    drive_command(call, find_drive(call, w[1]), "change", arguments);
    return "";
}

std::string commit(const Call& call, const Words& w) {
    if (w.size() != 2) throw mistake("commit DRIVE|all");
    if (w[1] != "all") return drive_command(call, find_drive(call, w[1]), "commit"), "";
    for (const Drive& d : drives(call))
        if (d.can("commit") && !d.read_only() && !d.file().empty() &&
            (!d.backing().empty() || d.info.value("snapshot", false)))
            drive_command(call, d, "commit");
    return "";
}

std::string sendkey(const Call& call, const Words& w) {
    if (w.size() < 2 || w.size() > 3) throw mistake("sendkey KEY[-KEY...] [MILLISECONDS]");
    Json keys = Json::array();
    for (std::size_t start = 0; start <= w[1].size();) {
        const auto end = std::min(w[1].find('-', start + 1), w[1].size());
        const std::string key = w[1].substr(start, end - start);
        if (key.starts_with("0x"))
            keys.push_back({{"type", "number"}, {"data", number(key)}});
        else
            keys.push_back({{"type", "qcode"}, {"data", key}});
        start = end + 1;
    }
    call("send-key", {{"keys", keys}, {"hold-time", w.size() > 2 ? number(w[2]) : 100}});
    return "";
}

std::string screendump(const Call& call, const Words& w) {
    if (w.size() != 2) throw mistake("screendump FILE");
    call("screendump", {{"filename", w[1]}, {"format", w[1].ends_with(".png") ? "png" : "ppm"}});
    return "";
}

// "i /w 0x1f0", "o /b 0x70 0x10".
std::string port(const Call& call, const Words& w) {
    Words rest(w.begin() + 1, w.end());
    unsigned bytes = 1;
    if (!rest.empty() && rest[0].starts_with("/")) {
        bytes = rest[0] == "/b" ? 1 : rest[0] == "/h" || rest[0] == "/w" ? (rest[0] == "/h" ? 2 : 4) : 0;
        if (bytes == 0) throw mistake("expected /b, /h or /w");
        rest.erase(rest.begin());
    }
    const bool write = w[0] == "o";
    if (rest.size() != (write ? 2u : 1u)) throw mistake(write ? "o [/b|/h|/w] PORT VALUE" : "i [/b|/h|/w] PORT");
    Json arguments = {{"port", number(rest[0])}, {"bytes", bytes}};
    if (write) {
        arguments["value"] = number(rest[1]) & 0xffff'ffff;
        return call("port-write", arguments), "";
    }
    char text[64];
    std::snprintf(text, sizeof text, "port%c[0x%04llx] = 0x%0*llx\n",
                  bytes == 1   ? 'b'
                  : bytes == 2 ? 'w'
                               : 'l',
                  static_cast<unsigned long long>(number(rest[0])), static_cast<int>(2 * bytes),
                  static_cast<unsigned long long>(call("port-read", arguments).at("value").get<std::uint64_t>()));
    return text;
}

std::string plain(const Call& call, const char* command) { return call(command, kNone), ""; }

std::string name_of(const Words& w) {
    if (w.size() != 2) throw mistake(w[0] + " NAME");
    return w[1];
}

struct Entry {
    const char *name, *arguments, *help;
    std::string (*run)(const Call& call, const Words& words);
};

std::string help(const Call& call, const Words& w);

constexpr Entry kEntries[] = {
    {"help", "[COMMAND]", "this list", help},
    {"?", "", "", help},
    {"info", "[WHAT]", "what the machine is and does; without WHAT: what there is to know",
     [](const Call& c, const Words& w) { return info(c, w.size() > 1 ? w[1] : ""); }},
    {"stop", "", "stops the machine", [](const Call& c, const Words&) { return plain(c, "stop"); }},
    {"cont", "", "lets it go on", [](const Call& c, const Words&) { return plain(c, "cont"); }},
    {"c", "", "", [](const Call& c, const Words&) { return plain(c, "cont"); }},
    {"system_reset", "", "resets the machine", [](const Call& c, const Words&) { return plain(c, "system_reset"); }},
    {"system_powerdown", "", "presses the power button",
     [](const Call& c, const Words&) { return plain(c, "system_powerdown"); }},
    {"quit", "", "ends the emulator", [](const Call& c, const Words&) { return plain(c, "quit"); }},
    {"q", "", "", [](const Call& c, const Words&) { return plain(c, "quit"); }},
    {"eject", "[-f] DRIVE", "takes the medium out; -f: even if the guest has locked it", eject},
    {"change", "DRIVE FILE [FORMAT] [read-only|read-write|retain]", "puts another medium in", change},
    {"commit", "DRIVE|all", "writes what was kept beside an image into it", commit},
    {"savevm", "NAME", "saves machine and disks under a name, inside the disks' images",
     [](const Call& c, const Words& w) { return save_vm(c, name_of(w)), std::string(); }},
    {"loadvm", "NAME", "goes back to it",
     [](const Call& c, const Words& w) { return load_vm(c, name_of(w)), std::string(); }},
    {"delvm", "NAME", "deletes it",
     [](const Call& c, const Words& w) { return delete_vm(c, name_of(w)), std::string(); }},
    {"sendkey", "KEY[-KEY...] [MS]", "presses keys together, such as ctrl-alt-delete", sendkey},
    {"screendump", "FILE", "writes the picture of the screen: PNG if FILE ends in .png, otherwise PPM", screendump},
    {"xp", "/FORMAT ADDRESS", "physical memory, such as xp /16xb 0x7c00",
     [](const Call& c, const Words& w) { return dump_memory(c, w, false); }},
    {"x", "/FORMAT ADDRESS", "the same at a linear address",
     [](const Call& c, const Words& w) { return dump_memory(c, w, true); }},
    {"i", "[/b|/h|/w] PORT", "reads a port", port},
    {"o", "[/b|/h|/w] PORT VALUE", "writes a port", port},
    {"cpu", "NUMBER", "the processor that info registers and x are about", nullptr},
    {"print", "[/x|/d|/u|/o|/c] NUMBER", "a number in another form",
     [](const Call&, const Words& w) { return print_number(w); }},
    {"p", "", "", [](const Call&, const Words& w) { return print_number(w); }},
};

const Entry* find(std::string_view name) {
    for (const Entry& e : kEntries)
        if (name == e.name) return &e;
    return nullptr;
}

std::string help(const Call&, const Words& w) {
    std::string out;
    for (const Entry& e : kEntries)
        if (e.help[0] && (w.size() < 2 || w[1] == e.name))
            out += std::string(e.name) + (e.arguments[0] ? " " : "") + e.arguments + " -- " + e.help + "\n";
    return out.empty() ? "there is no command " + w[1].substr(0, 80) + "\n" : out;
}

}  // namespace

bool Hmp::knows(std::string_view line) {
    try {
        const Words words = split(line);
        return !words.empty() && find(words[0].substr(0, words[0].find('/'))) != nullptr;
    } catch (const std::exception&) {
        return false;
    }
}

std::string Hmp::choose_processor(const std::vector<std::string>& words) const {
    if (words.size() != 2) throw mistake("expected the number of a processor; info cpus lists them");
    const std::uint64_t wanted = number(words[1]), count = call_("cpu-list", kNone).size();
    if (wanted >= count)
        throw mistake("there is no processor " + words[1].substr(0, 40) + "; the board has " + std::to_string(count));
    cpu_ = wanted;
    return "";
}

std::string Hmp::run(const std::string& line) const {
    // Whoever asks for the processors learns which one is meant here.
    const Call call = [this](const std::string& command, const Json& arguments) {
        Json answer = call_(command, arguments);
        if (command == "cpu-list" && answer.is_array())
            for (Json& cpu : answer) cpu["current"] = cpu.at("index") == cpu_;
        return answer;
    };
    try {
        Words words = split(line);
        if (words.empty()) return "";
        // "x/4x ADDRESS" is written without a blank as well.
        if (const auto slash = words[0].find('/'); slash != std::string::npos && slash > 0) {
            words.insert(words.begin() + 1, words[0].substr(slash));
            words[0].resize(slash);
        }
        if (const Entry* e = find(words[0])) return e->run ? e->run(call, words) : choose_processor(words);
        if (fallback_) return fallback_(line);
        return "unknown command: '" + words[0].substr(0, 80) + "'; help lists what there is\n";
    } catch (const std::exception& e) {
        return std::string("Error: ") + e.what() + "\n";
    }
}

std::vector<std::string> Hmp::complete(std::string_view line) const {
    Words candidates, out;
    const auto last = line.find_last_of(" \t");
    const std::string_view begun = last == std::string_view::npos ? line : line.substr(last + 1);
    const std::string_view before = last == std::string_view::npos ? "" : line.substr(0, line.find_first_of(" \t"));
    if (before.empty()) {
        for (const Entry& e : kEntries)
            if (e.help[0]) candidates.emplace_back(e.name);
    } else if (before == "info") {
        candidates = info_names();
    } else if (before == "help") {
        for (const Entry& e : kEntries)
            if (e.help[0]) candidates.emplace_back(e.name);
    } else if (before == "eject" || before == "change" || before == "commit") {
        try {
            for (const Drive& d : drives(call_)) candidates.push_back(d.id);
        } catch (const std::exception&) {}
    }
    for (std::string& c : candidates)
        if (c.starts_with(begun)) out.push_back(std::move(c));
    return out;
}

}  // namespace backplane::monitor
