// The protocol: bytes in, bytes out.
#include <catch2/catch.hpp>

#include "conversation.hpp"

using namespace backplane;
using nlohmann::json;

namespace {
constexpr const char* kOk = "{\"return\": {}}\r\n";
constexpr const char* kTooEarly = "the capabilities are to be negotiated first, with `qmp_capabilities`";
}  // namespace

TEST_CASE("the greeting is one line with the version and no capabilities") {
    const std::string text = Session::greeting();
    CHECK(text.ends_with("\r\n"));
    CHECK(text.find('\n') == text.size() - 1);
    const json greeting = json::parse(text).at("QMP");
    CHECK(greeting.at("capabilities") == json::array());
    CHECK(greeting.at("version").at("package") == "Backplane " BACKPLANE_VERSION);
    CHECK(greeting.at("version").at("qemu").at("major").is_number());
}

TEST_CASE("nothing is carried out before the negotiation, and it happens once") {
    Conversation c;
    CHECK_FALSE(c.session.negotiated());
    CHECK(c.say(R"({"execute": "stop"})") == refusal(kTooEarly, "CommandNotFound"));
    CHECK(c.say(R"({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}})") ==
          refusal("there is no such capability"));
    CHECK(c.say(R"({"execute": "qmp_capabilities", "arguments": {"enable": 1}})") ==
          refusal("argument `enable`: expected a list"));
    CHECK(c.say(R"({"execute": "qmp_capabilities", "arguments": {"able": []}})") == refusal("unknown argument `able`"));
    CHECK_FALSE(c.session.negotiated());
    CHECK(c.say(R"({"execute": "qmp_capabilities", "arguments": {"enable": []}})") == kOk);
    CHECK(c.session.negotiated());
    CHECK(c.say(R"({"execute": "qmp_capabilities"})") ==
          refusal("the capabilities have been negotiated already", "CommandNotFound"));
    CHECK(c.calls.empty());
}

TEST_CASE("a command gets its arguments, its answer carries the id") {
    auto c = Conversation::ready();
    CHECK(c.say(R"({"execute": "stop"})") == kOk);
    CHECK(c.say(R"({"execute": "set", "arguments": {"a": [1, "x"]}, "id": 7})") ==
          "{\"return\": {\"a\":[1,\"x\"]}, \"id\": 7}\r\n");
    CHECK(c.say(R"({"id": {"b": [null]}, "execute": "stop"})") == "{\"return\": {}, \"id\": {\"b\":[null]}}\r\n");
    CHECK(c.say(R"({"execute": "stop", "id": null})") == "{\"return\": {}, \"id\": null}\r\n");
    CHECK(c.say(R"({"execute": "fail", "id": "x"})") ==
          "{\"error\": {\"class\":\"GenericError\",\"desc\":\"it failed\"}, \"id\": \"x\"}\r\n");
    CHECK(c.calls == std::vector<std::string>{"stop", R"(set{"a":[1,"x"]})", "stop", "stop", "fail"});
    // The id of a request that is refused comes back too; the next answer has none again.
    CHECK(c.say(R"({"id": 9})") ==
          "{\"error\": {\"class\":\"GenericError\",\"desc\":\"a request needs the member `execute`\"}, \"id\": 9}\r\n");
    CHECK(c.say(R"({"execute": "stop"})") == kOk);
}

TEST_CASE("objects may be split anywhere, and several may come at once") {
    const std::string two = "  {\"execute\":\"a\",\n \"arguments\":{\"s\":\"}{\\\"\\\\\"}}\r\n\t{\"execute\":\"b\"}";
    for (std::size_t cut = 0; cut <= two.size(); ++cut) {
        auto c = Conversation::ready();
        std::string out = c.say(two.substr(0, cut));
        out += c.say(two.substr(cut));
        CHECK(out == "{\"return\": {\"s\":\"}{\\\"\\\\\"}}\r\n{\"return\": {}}\r\n");
        CHECK(c.calls.size() == 2);
    }
    auto c = Conversation::ready();
    std::string out;
    for (const char byte : two + two) out += c.say({&byte, 1});
    CHECK(c.calls.size() == 4);
}

TEST_CASE("a command is carried out before the next one is looked at") {
    auto c = Conversation::ready();
    std::string_view bytes = R"({"execute": "a"}{"execute": "b"})";
    std::string out;
    const auto first = c.session.take(bytes, out);
    REQUIRE(first);
    CHECK(first->command == "a");
    CHECK(c.session.busy());
    CHECK_FALSE(c.session.take(bytes, out));
    CHECK(bytes == R"({"execute": "b"})");
    c.session.finish(true, "1", out);
    const auto second = c.session.take(bytes, out);
    REQUIRE(second);
    CHECK(second->command == "b");
    CHECK(out == "{\"return\": 1}\r\n");
}

TEST_CASE("requests of the wrong form are refused by what is wrong") {
    auto c = Conversation::ready();
    CHECK(c.say("[]") == refusal("a request must be an object"));
    CHECK(c.say("{}") == refusal("a request needs the member `execute`"));
    CHECK(c.say(R"({"execute": 1})") == refusal("`execute` must be a string"));
    CHECK(c.say(R"({"execute": "a", "arguments": []})") == refusal("`arguments` must be an object"));
    CHECK(c.say(R"({"execute": "a", "argument": {}})") == refusal("a request has no member `argument`"));
    CHECK(c.say(R"({"execute": "a", "exec-oob": 1})") == refusal("a request has no member `exec-oob`"));
    CHECK(c.say(R"({"execute": "a", "execute": "b"})") == refusal("key `execute` stands twice"));
    CHECK(c.say(R"({"execute": "a", "arguments": {"x": {"y": 1, "y": 2}}})") == refusal("key `y` stands twice"));
    CHECK(c.calls.empty());
    CHECK(c.say(R"({"execute": "a"})") == kOk);
}

TEST_CASE("malformed JSON is answered and the conversation goes on") {
    const auto survives = [](const std::string& bytes, const std::string& desc) {
        INFO(bytes);
        auto c = Conversation::ready();
        CHECK(c.say(bytes) == refusal(desc));
        CHECK(c.say(R"({"execute": "a"})") == kOk);
        CHECK(c.calls.size() == 1);
    };
    survives("{\"execute\" \"a\"}", "malformed JSON");
    survives("{\"execute\": nonsense}", "malformed JSON");
    survives("{'execute': 'a'}", "malformed JSON");
    survives("{\"execute\": \"a\",}", "malformed JSON");
    survives("{\"execute\": \"\xc3\x28\"}", "malformed JSON");
    survives("{\"execute\": \"\xed\xa0\x80\"}", "malformed JSON");
    survives("{\"execute\": \"\\ud800\"}", "malformed JSON");
    survives("nonsense\n", "malformed JSON: expected an object");
    survives("42\n", "malformed JSON: expected an object");
    survives("nonsense", "malformed JSON: expected an object");
    survives("}\n", "malformed JSON: expected an object");
    survives("{\"execute\": ]\n", "malformed JSON: unexpected ]");
    survives("{\"execute\": \"a\n", "malformed JSON: a string has no end");
    survives("{\"execute\": \xff", "malformed JSON: unexpected byte 0xff");
    survives("{\"execute\": \"\xfe", "malformed JSON: unexpected byte 0xfe");
    survives(std::string("{\"execute\"\0", 11), "malformed JSON: unexpected byte 0x00");
    survives(std::string(65, '[') + "\n", "malformed JSON: more than 64 levels");
    survives(std::string(100'000, '[') + "\n", "malformed JSON: more than 64 levels");
}

TEST_CASE("64 levels are allowed") {
    auto c = Conversation::ready();
    const std::string deep = std::string(62, '[') + std::string(62, ']');
    CHECK(c.say("{\"execute\": \"a\", \"arguments\": {\"x\": " + deep + "}}") ==
          "{\"return\": {\"x\":" + deep + "}}\r\n");
}

TEST_CASE("a text without an end is cut off at its limit") {
    const std::string limit = std::to_string(Framer::kMostBytes);
    const std::string long_text(Framer::kMostBytes, 'x');
    auto in_string = Conversation::ready();
    CHECK(in_string.say("{\"execute\": \"") == "");
    CHECK(in_string.say(long_text) ==
          refusal("malformed JSON: more than " + limit + " bytes without a complete object"));
    CHECK(in_string.session.over());
    auto garbage = Conversation::ready();
    CHECK(garbage.say(long_text) == refusal("malformed JSON: expected an object"));
    CHECK(garbage.say("xxx") == refusal("malformed JSON: more than " + limit + " bytes without a complete object"));
    CHECK(garbage.session.over());
    auto blank = Conversation::ready();
    CHECK(blank.say(std::string(3 * Framer::kMostBytes, ' ')) == "");
    CHECK(blank.say(R"({"execute": "a"})") == kOk);
    auto whole = Conversation::ready();
    const std::string text(Framer::kMostBytes - 100, 'x');
    CHECK(whole.say("{\"execute\": \"a\", \"arguments\": {\"t\": \"" + text + "\"}}").size() > text.size());
}

TEST_CASE("a strict conversation ends at the first mistake before the negotiation") {
    for (const char* bytes :
         {"POST / HTTP/1.1\r\nHost: x\r\n\r\n{\"execute\":\"qmp_capabilities\"}{\"execute\":\"quit\"}",
          "{]{\"execute\":\"qmp_capabilities\"}", "{\"x\" 1}{\"execute\":\"qmp_capabilities\"}"}) {
        Conversation c(true);
        c.say(bytes);
        CHECK(c.session.over());
        CHECK_FALSE(c.session.negotiated());
        CHECK(c.calls.empty());
    }
    Conversation c(true);
    c.say(R"({"execute": "qmp_capabilities"})");
    c.say("nonsense\n");
    CHECK_FALSE(c.session.over());
}
