#include <catch2/catch.hpp>

#include "control/address.hpp"

using backplane::control::Address;
using backplane::control::parse_address;

namespace {
std::string error(const std::string& text) {
    Address a;
    std::string why;
    return parse_address(text, a, why) ? "no error" : why;
}
}  // namespace

TEST_CASE("addresses are read and written alike") {
    for (const char* text : {"unix:/run/vm.socket", "unix:relative", "unix:/a:b c", "tcp:127.0.0.1:4444",
                             "tcp:[::1]:65535", "tcp:127.1.2.3:0", "tcp:10.0.0.1:1"}) {
        Address a;
        std::string why;
        REQUIRE(parse_address(text, a, why));
        CHECK(a.text() == text);
    }
    Address a;
    std::string why;
    REQUIRE(parse_address("tcp:localhost:7", a, why));
    CHECK(a.text() == "tcp:127.0.0.1:7");
}

TEST_CASE("only loopback addresses are loopback") {
    Address a;
    std::string why;
    for (const auto& [text, local] : {std::pair{"tcp:127.0.0.1:1", true},
                                      {"tcp:127.255.0.9:1", true},
                                      {"tcp:0.0.0.0:1", false},
                                      {"tcp:192.168.0.1:1", false},
                                      {"tcp:[::1]:1", true},
                                      {"tcp:[::]:1", false},
                                      {"tcp:[fe80::1]:1", false},
                                      {"unix:x", true}}) {
        REQUIRE(parse_address(text, a, why));
        CHECK(a.loopback() == local);
    }
}

TEST_CASE("what is no address is refused with what was expected") {
    CHECK(error("") == "expected unix:PATH or tcp:ADDRESS:PORT, found \"\"");
    CHECK(error("/run/vm") == "expected unix:PATH or tcp:ADDRESS:PORT, found \"/run/vm\"");
    CHECK(error("unix:").find("1 to 107 bytes") != std::string::npos);
    CHECK(error("unix:" + std::string(108, 'x')).find("1 to 107 bytes") != std::string::npos);
    for (const char* text :
         {"tcp:", "tcp:127.0.0.1", "tcp:127.0.0.1:", "tcp:127.0.0.1:x", "tcp:127.0.0.1:65536", "tcp:127.0.0.1:-1",
          "tcp:127.0.0.1:1 ", "tcp:example.org:1", "tcp:::1:1", "tcp:[]:1", "tcp::1", "tcp:[127.0.0.1]:1"})
        CHECK(error(text) == "expected tcp:ADDRESS:PORT, such as tcp:127.0.0.1:4444, found " + std::string(text));
}
