// Hostile clients: whatever comes, every answer is a whole line of JSON, memory stays bounded, and after a byte that no
// text can hold and a line's end the conversation goes on.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <random>

#include "backplane/types.hpp"
#include "conversation.hpp"

using namespace backplane;
using nlohmann::json;
using namespace std::string_literals;

namespace {

const std::vector<std::string> kCorpus = {
    R"({"execute": "qmp_capabilities"})",
    R"({"execute": "query-status", "id": 1})",
    R"({"execute": "state-set", "arguments": {"path": "a.b[3]", "value": [1, -2, 3.5e10, true, null, "\u00e9\ud83d\ude00"]}})",
    R"({"execute": "x", "arguments": {"deep": [[[[[[{"a": {"b": {"c": []}}}]]]]]]}, "id": {"id": ["id"]}})",
    "\xff{\"execute\": \"a\"}\n",
    "{\"execute\": \"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
    "[1, 2, {\"execute\": 3}]\r\n",
    "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n{}\n",
    "}}}]]]{{{[[[",
    "18446744073709551616 -1e999 0x10 NaN Infinity\n",
};

u64 cases() {
    const char* more = std::getenv("BACKPLANE_RANDOM_CASES");
    return more ? std::strtoull(more, nullptr, 10) : 3'000;
}

void check_lines(const std::string& out) {
    std::size_t begin = 0;
    while (begin < out.size()) {
        const auto end = out.find("\r\n", begin);
        REQUIRE(end != std::string::npos);
        const json line = json::parse(out.substr(begin, end - begin), nullptr, false);
        REQUIRE(line.is_object());
        REQUIRE(line.contains("return") != line.contains("error"));
        begin = end + 2;
    }
}

}  // namespace

TEST_CASE("random mutations of requests bring whole answers, and a way back") {
    std::mt19937_64 random(1);
    const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const std::string interesting = "{}[]\",:\\\n\r\t\x00\x1f\x7f\xfe\xff\xc0\xed 0-9.eEtfnu/"s;
    for (u64 n = 0; n < cases(); ++n) {
        std::string bytes;
        for (std::size_t i = 1 + pick(4); i > 0; --i) bytes += kCorpus[pick(kCorpus.size())];
        for (std::size_t i = pick(12); i > 0; --i) {
            const std::size_t at = pick(bytes.size());
            switch (pick(5)) {
                case 0: bytes[at] = static_cast<char>(random()); break;
                case 1: bytes[at] = interesting[pick(interesting.size())]; break;
                case 2: bytes.insert(at, 1 + pick(80), interesting[pick(interesting.size())]); break;
                case 3: bytes.erase(at, 1 + pick(8)); break;
                default: bytes.insert(at, bytes.substr(pick(bytes.size()), pick(40))); break;
            }
            if (bytes.empty()) bytes = " ";
        }
        INFO("case " << n << ": " << bytes);
        Conversation c;
        std::string out;
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t size = 1 + pick(64);
            out += c.say(std::string_view(bytes).substr(at, size));
            at += size;
        }
        check_lines(out);
        REQUIRE_FALSE(c.session.over());
        check_lines(c.say("\xff\n"));
        const std::string last = c.say("{\"execute\": \"ping\", \"id\": \"last\"}");
        REQUIRE(json::parse(last).at("id") == "last");
    }
}

TEST_CASE("a flood of mistakes is answered in portions") {
    Session session(false);
    std::string flood;
    for (int i = 0; i < 100'000; ++i) flood += "}\n";
    std::string_view left = flood;
    std::string out;
    session.take(left, out);
    CHECK(out.size() < 128 << 10);
    CHECK_FALSE(left.empty());
}

TEST_CASE("many keys and long names cost no more than they are long") {
    auto c = Conversation::ready();
    std::string text = "{\"execute\": \"a\", \"arguments\": {";
    for (int i = 0; i < 60'000; ++i) text += "\"" + std::to_string(i) + "\":0,";
    text += "\"x\": 0}}";
    CHECK(c.say(text).size() > 60'000);
    const std::string name(500'000, 'n');
    CHECK(c.say("{\"" + name + "\": 1}").size() < 300);
    CHECK(c.say("{\"x\": {\"" + name + "\": 1, \"" + name + "\": 1}}").size() < 300);
}
