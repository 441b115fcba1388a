#include "model.hpp"

#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"

using namespace backplane;
using testkit::Bench;

namespace {
struct Listener {
    std::string text;
    static uint32_t take(void* i, const uint8_t* data, uint32_t count) {
        static_cast<Listener*>(i)->text.append(reinterpret_cast<const char*>(data), count);
        return count;
    }
    static constexpr bp_chardev kTable{sizeof(bp_chardev), &take, nullptr, nullptr};
};
void print(testkit::Board& b, std::string_view text) {
    for (char c : text) b.out("port", 0, static_cast<u8>(c));
}
}  // namespace

TEST_CASE("without a listener the port is a silent sink") {
    Bench<DebugConsole> b;
    CHECK(b.in("port", 0) == 0xff);
    print(b, "hello\n");
    CHECK(b.log.empty());
}

TEST_CASE("with a listener the port answers E9h and passes every byte on") {
    Listener listener;
    Bench<DebugConsole> b({}, {{"backend", {&Listener::kTable, &listener}}});
    CHECK(b.in("port", 0) == 0xe9);
    print(b, std::string("a\r\n\0b", 5));
    CHECK(listener.text == std::string("a\r\n\0b", 5));
}

TEST_CASE("the log gets whole lines of printable characters") {
    Bench<DebugConsole> b(testkit::Properties{{"log", "true"}});
    CHECK(b.in("port", 0) == 0xe9);
    print(b,
          "Sea\x01"
          "BIOS\r\n\n");
    print(b, "unfinished");
    REQUIRE(b.log.size() == 1);
    CHECK(b.log[0] == "4: Sea?BIOS");
    print(b, std::string(1000, 'x'));
    CHECK(b.log.size() == 3);
}

TEST_CASE("more ports can be covered") {
    Bench<DebugConsole> b(testkit::Properties{{"size", "2"}});
    CHECK(b.region_length("port") == 2);
}
