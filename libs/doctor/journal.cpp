#include "journal.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace backplane::doctor {
namespace {

using Json = nlohmann::ordered_json;
using std::uint8_t;

constexpr int kVersion = 1;
constexpr std::size_t kMostWrites = 64;

std::string hex(const Sector& s) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const uint8_t b : s) text += kDigits[b >> 4], text += kDigits[b & 15];
    return text;
}

Sector bytes(const std::string& text) {
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        throw std::runtime_error("a sector of the journal is damaged");
    };
    Sector s{};
    if (text.size() != 2 * s.size()) throw std::runtime_error("a sector of the journal has not 512 bytes");
    for (std::size_t i = 0; i < s.size(); ++i)
        s[i] = static_cast<uint8_t>(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    return s;
}

}  // namespace

std::string text_of(const Journal& journal) {
    Json out;
    out["backplane_doctor_journal"] = kVersion;
    out["image"] = journal.image;
    out["format"] = journal.format;
    out["sectors"] = journal.sectors;
    out["writes"] = Json::array();
    for (const Write& w : journal.writes)
        out["writes"].push_back({{"sector", w.lba}, {"what", w.what}, {"old", hex(w.before)}, {"new", hex(w.after)}});
    return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Journal parse_journal(const std::string& text) {
    try {
        const Json in = Json::parse(text);
        if (in.at("backplane_doctor_journal") != kVersion)
            throw std::runtime_error("a journal of another version of this program");
        Journal j;
        j.image = in.at("image").get<std::string>();
        j.format = in.at("format").get<std::string>();
        j.sectors = in.at("sectors").get<std::uint64_t>();
        if (in.at("writes").size() > kMostWrites) throw std::runtime_error("more writes than a repair makes");
        for (const Json& w : in.at("writes"))
            j.writes.push_back({w.at("sector").get<std::uint64_t>(), w.at("what").get<std::string>(),
                                bytes(w.at("old").get<std::string>()), bytes(w.at("new").get<std::string>())});
        return j;
    } catch (const Json::exception&) {
        throw std::runtime_error("this is no journal of `backplane disk doctor --fix`, or it is damaged");
    }
}

Plan undo(const Journal& journal, const geometry::Reader& reader, std::uint64_t sectors) {
    Plan plan;
    const auto refuse = [](std::string why) {
        Plan none;
        none.refused = std::move(why);
        return none;
    };
    if (sectors != journal.sectors)
        return refuse("the disk has " + std::to_string(sectors) + " sectors, the one that the journal is about had " +
                      std::to_string(journal.sectors));
    for (const Write& w : journal.writes) {
        const std::string where = w.what + " (sector " + std::to_string(w.lba) + ")";
        Sector now{};
        if (w.lba >= sectors || !reader(w.lba, now)) return refuse(where + " cannot be read");
        if (now == w.before) continue;
        if (now != w.after)
            return refuse(where +
                          " holds neither what the repair wrote nor what was there before: something else has "
                          "changed it since, so it is left alone");
        plan.writes.push_back({w.lba, w.what, w.after, w.before});
        plan.changes.push_back(where + ": the old bytes are back");
    }
    return plan;
}

}  // namespace backplane::doctor
