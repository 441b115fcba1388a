#include <netinet/in.h>
#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "chardev/test_host.hpp"
#include "control/address.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Properties;

namespace {

// -1 on failure.
chardev::Fd connect_to(const std::string& text) {
    control::Address address;
    std::string error;
    if (!control::parse_address(text, address, error)) return {};
    chardev::Opened o = chardev::connect_socket(address.sockaddr_ptr(), address.size, text);
    return std::move(o.fd);
}

}  // namespace

TEST_CASE("bytes go both ways, and the port that was chosen is logged") {
    Bench<TcpChardev> device(Properties{{"address", "127.0.0.1:0"}});
    REQUIRE(device.log.size() == 1);
    const auto at = device.log[0].find("tcp:127.0.0.1:");
    REQUIRE(at != std::string::npos);
    for (int i = 0; i < 2; ++i) {
        const chardev::Fd fd = connect_to(device.log[0].substr(at));
        REQUIRE(fd);
        chardev::check_echo(device, fd.get());
    }
}

TEST_CASE("as a client it goes to whoever listens") {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    chardev::Opened server = chardev::open_tcp(reinterpret_cast<const sockaddr*>(&any), sizeof any, "any");
    REQUIRE(server.error.empty());
    socklen_t size = sizeof any;
    ::getsockname(server.listener.get(), reinterpret_cast<sockaddr*>(&any), &size);
    const std::string address = "127.0.0.1:" + std::to_string(ntohs(any.sin_port));
    {
        Bench<TcpChardev> device(Properties{{"address", address}, {"connect", "true"}});
        const chardev::Fd fd(::accept(server.listener.get(), nullptr, nullptr));
        chardev::check_echo(device, fd.get());
    }
    server = {};
    testkit::Board board(&DeviceType<TcpChardev>::value, {{"address", address}, {"connect", "true"}}, {});
    CHECK(board.start() == BP_ERR_IO);
    CHECK(board.failure.find(address + ": cannot connect") == 0);
}

TEST_CASE("what is no address of this host is refused by name") {
    for (const char* address : {"", "nowhere", "127.0.0.1", "127.0.0.1:x", "host.example:80"}) {
        testkit::Board board(&DeviceType<TcpChardev>::value, {{"address", address}}, {});
        CHECK(board.start() == BP_ERR_INVALID);
    }
    testkit::Board board(&DeviceType<TcpChardev>::value, {{"address", "192.0.2.1:4444"}}, {});
    CHECK(board.start() == BP_ERR_IO);
    CHECK(board.failure.find("192.0.2.1:4444: cannot be listened on") == 0);
}
