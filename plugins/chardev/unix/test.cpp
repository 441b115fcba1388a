#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "chardev/test_host.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Properties;

TEST_CASE("bytes go both ways through the socket") {
    chardev::Folder folder;
    {
        Bench<UnixChardev> device(Properties{{"path", folder / "socket"}});
        const chardev::Fd fd = chardev::connect_to(folder / "socket");
        chardev::check_echo(device, fd.get());
    }
    CHECK_FALSE(std::filesystem::exists(folder / "socket"));
}

TEST_CASE("with wait the start takes until a client is there") {
    chardev::Folder folder;
    std::thread client([&] {
        chardev::within_seconds(5, [&] { return std::filesystem::exists(folder / "socket"); });
        ::usleep(20'000);
        const chardev::Fd fd = chardev::connect_to(folder / "socket");
    });
    Bench<UnixChardev> device(Properties{{"path", folder / "socket"}, {"wait", "true"}});
    REQUIRE_FALSE(device.log.empty());
    CHECK(device.log[0].find("waiting for a client") != std::string::npos);
    client.join();
}

TEST_CASE("a path that cannot be a socket fails by name") {
    testkit::Board board(&DeviceType<UnixChardev>::value, {{"path", "/nonexistent/socket"}}, {});
    CHECK(board.start() == BP_ERR_IO);
    CHECK(board.failure.find("/nonexistent/socket") != std::string::npos);
}

TEST_CASE("as a client it goes to the socket of another program, once") {
    chardev::Folder folder;
    const Properties client{{"path", folder / "socket"}, {"connect", "true"}};
    chardev::Opened server = chardev::open_unix(folder / "socket");
    Bench<UnixChardev> device(client);
    {
        const chardev::Fd fd(::accept(server.listener.get(), nullptr, nullptr));
        chardev::check_echo(device, fd.get());
    }
    // Nobody is there any more: what is written goes nowhere, and holds nobody up.
    const bp_interface i = device.offer(BP_CHARDEV_ID);
    const std::string much(100'000, 'x');
    CHECK(chardev::within_seconds(5, [&] {
        return static_cast<const bp_chardev*>(i.table)->write(i.instance, reinterpret_cast<const u8*>(much.data()),
                                                              100'000) == 100'000;
    }));
    server = {};
    testkit::Board board(&DeviceType<UnixChardev>::value, client, {});
    CHECK(board.start() == BP_ERR_IO);
    CHECK(board.failure.find("cannot connect") != std::string::npos);
}
