#include "protocol.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <stdexcept>

#include "base64.hpp"

namespace backplane::qtest {

namespace {

constexpr std::uint64_t kMostBytes = 64 << 20;
constexpr std::uint64_t kPiece = 1 << 20;  // of a range, for each command to the machine

std::runtime_error failure(const std::string& text) { return std::runtime_error(text); }

std::string shown(const std::string& word) {
    return "`" + (word.size() > 80 ? word.substr(0, 80) + "..." : word) + "`";
}

// Decimal, 0x hexadecimal or 0 octal.
std::uint64_t number(const std::string& word) {
    char* end = nullptr;
    errno = 0;
    const std::uint64_t value = std::strtoull(word.c_str(), &end, 0);
    if (word.empty() || word[0] == '-' || word[0] == '+' || *end || errno)
        throw failure("expected a number, found " + shown(word));
    return value;
}

void expect(const std::vector<std::string>& words, std::size_t arguments) {
    if (words.size() != arguments + 1)
        throw failure(words[0] + " takes " + std::to_string(arguments) + " arguments, not " +
                      std::to_string(words.size() - 1));
}

std::string hex(std::uint64_t value, int digits) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%0*llx", digits, static_cast<unsigned long long>(value));
    return text;
}

unsigned bytes_of(char suffix) {
    return suffix == 'b' ? 1 : suffix == 'w' ? 2 : suffix == 'l' ? 4 : suffix == 'q' ? 8 : 0;
}

std::string hex_bytes(std::uint64_t value, unsigned bytes) {
    std::string out;
    for (unsigned n = 0; n < bytes; ++n) out += hex((value >> (8 * n)) & 0xff, 2).substr(2);
    return out;
}

std::uint64_t size_of_range(const std::string& word) {
    const std::uint64_t size = number(word);
    if (size == 0 || size > kMostBytes) throw failure("a range has 1 to " + std::to_string(kMostBytes) + " bytes");
    return size;
}

}  // namespace

std::string Protocol::answer(std::string_view line) {
    Words words;
    std::istringstream in{std::string(line)};
    for (std::string word; in >> word;) words.push_back(std::move(word));
    if (words.empty()) return "FAIL there is no command";
    const std::string& name = words[0];
    try {
        if (name.size() == 3 && name.starts_with("in") && name != "inq" && bytes_of(name[2])) return port(words);
        if (name.size() == 4 && name.starts_with("out") && name != "outq" && bytes_of(name[3])) return port(words);
        if (name == "read" || name == "write" || name == "b64read" || name == "b64write" || name == "memset")
            return range(words);
        if (name.size() == 5 && name.starts_with("read") && bytes_of(name[4])) return memory(words);
        if (name.size() == 6 && name.starts_with("write") && bytes_of(name[5])) return memory(words);
        if (name == "clock_step" || name == "clock_set") return clock(words);
        if (name == "irq_intercept_in" || name == "irq_intercept_out") return intercept(words);
        if (name == "endianness") return expect(words, 0), "OK little";
    } catch (const std::exception& e) {
        std::string text = e.what();
        std::replace(text.begin(), text.end(), '\n', ' ');
        return "FAIL " + text;
    }
    return "FAIL there is no command " + shown(name);
}

std::string Protocol::port(const Words& words) {
    const bool write = words[0][0] == 'o';
    expect(words, write ? 2 : 1);
    const std::uint64_t number_of_port = number(words[1]);
    if (number_of_port > 0xffff) throw failure("there is no port " + shown(words[1]));
    Json arguments = {{"port", number_of_port}, {"bytes", bytes_of(words[0].back())}};
    if (!write) return "OK " + hex(call_("port-read", arguments).at("value").get<std::uint64_t>(), 4);
    arguments["value"] = number(words[2]) & 0xffff'ffff;
    call_("port-write", arguments);
    return "OK";
}

std::string Protocol::memory(const Words& words) {
    const bool write = words[0][0] == 'w';
    const unsigned bytes = bytes_of(words[0].back());
    expect(words, write ? 2 : 1);
    Json arguments = {{"address", number(words[1])}, {"access", bytes}};
    if (write) {
        arguments["data"] = hex_bytes(number(words[2]), bytes);
        call_("memory-write", arguments);
        return "OK";
    }
    arguments["size"] = bytes;
    const std::string data = call_("memory-read", arguments).at("data");
    std::uint64_t value = 0;
    for (unsigned n = bytes; n-- > 0;) value = value << 8 | std::stoul(data.substr(2 * n, 2), nullptr, 16);
    return "OK " + hex(value, 16);
}

// As hexadecimal digits. Where the range is no memory it is read byte by byte.
std::string Protocol::read_range(std::uint64_t address, std::uint64_t size) {
    std::string out;
    for (std::uint64_t done = 0; done < size; done += kPiece) {
        Json arguments = {{"address", address + done}, {"size", std::min(kPiece, size - done)}};
        try {
            out += call_("memory-read", arguments).at("data").get<std::string>();
        } catch (const std::exception&) {
            arguments["access"] = 1;
            out += call_("memory-read", arguments).at("data").get<std::string>();
        }
    }
    return out;
}

void Protocol::write_range(std::uint64_t address, const std::string& digits) {
    for (std::uint64_t done = 0; done < digits.size(); done += 2 * kPiece) {
        Json arguments = {{"address", address + done / 2}, {"data", digits.substr(done, 2 * kPiece)}};
        try {
            call_("memory-write", arguments);
        } catch (const std::exception&) {
            arguments["access"] = 1;
            call_("memory-write", arguments);
        }
    }
}

std::string Protocol::range(const Words& words) {
    const std::string& name = words[0];
    const bool read = name.ends_with("read");
    expect(words, read ? 2 : 3);
    const std::uint64_t address = number(words[1]), size = size_of_range(words[2]);
    if (name == "read") return "OK 0x" + read_range(address, size);
    if (name == "b64read") return "OK " + to_base64(from_hex(read_range(address, size)));
    std::string digits;
    if (name == "memset") {
        const std::string byte = hex_bytes(number(words[3]), 1);
        for (std::uint64_t i = 0; i < size; ++i) digits += byte;
    } else if (name == "b64write") {
        digits = to_hex(from_base64(words[3]));
    } else {
        if (!words[3].starts_with("0x")) throw failure("expected data that begins with 0x");
        digits = words[3].substr(2);
    }
    if (digits.size() / 2 < size) throw failure("the data have " + std::to_string(digits.size() / 2) + " bytes");
    digits.resize(2 * size);
    write_range(address, digits);
    return "OK";
}

std::string Protocol::clock(const Words& words) {
    const bool step = words[0] == "clock_step";
    Json arguments = Json::object();
    if (!step || words.size() > 1) {
        expect(words, 1);
        std::uint64_t until = number(words[1]);
        if (until > INT64_MAX) throw failure("the clock does not reach that far");
        if (step) until += call_("query-stats", Json::object()).at("time-ns").get<std::uint64_t>();
        if (until > INT64_MAX) throw failure("the clock does not reach that far");
        arguments["until"] = until;
    }
    return "OK " + std::to_string(call_("clock-advance", arguments).at("time-ns").get<std::int64_t>());
}

std::string Protocol::intercept(const Words& words) {
    expect(words, 1);
    const bool outputs = words[0] == "irq_intercept_out";
    if (!intercepted_.empty()) {
        if (intercepted_ == words[1] && outputs_ == outputs) return "OK";
        throw failure("the lines of " + intercepted_ + " are intercepted already");
    }
    call_("line-watch", {{"device", words[1]}, {"outputs", outputs}});
    intercepted_ = words[1], outputs_ = outputs;
    return "OK";
}

std::string Protocol::interrupt(std::string_view text) {
    if (text.find("\"BACKPLANE_LINE\"") == std::string_view::npos) return "";
    const Json event = Json::parse(text, nullptr, false);
    if (!event.is_object() || event.value("event", "") != "BACKPLANE_LINE") return "";
    const Json& data = event.at("data");
    return std::string(data.at("level").get<bool>() ? "IRQ raise " : "IRQ lower ") +
           std::to_string(data.at("line").get<std::uint64_t>());
}

void Protocol::forget() {
    if (intercepted_.empty()) return;
    try {
        call_("line-watch", {{"device", intercepted_}, {"outputs", outputs_}, {"on", false}});
    } catch (const std::exception&) {}  // the machine has ended
    intercepted_.clear();
}

}  // namespace backplane::qtest
