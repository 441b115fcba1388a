// One client at a time on real sockets.
#include <fcntl.h>

#include <atomic>
#include <catch2/catch.hpp>

#include "chardev/test_host.hpp"
#include "control/peer.hpp"

using namespace backplane;
using namespace backplane::control;

namespace {

// Echoes lines in capitals.
struct Echo {
    std::atomic<int> opened{0}, closed{0};
    Peer peer;
    std::string start(const std::string& where, bool connect = false) {
        return peer.start(where, connect,
                          {[this] { ++opened; },
                           [this](std::string_view bytes) {
                               std::string out(bytes);
                               for (char& c : out) c = static_cast<char>(std::toupper(c));
                               peer.send(out);
                               if (bytes.find('q') != std::string_view::npos) peer.hang_up();
                           },
                           [this] { ++closed; }, [](const std::string&) {}});
    }
};

void say(int fd, const std::string& text) {
    REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

}  // namespace

TEST_CASE("clients of a peer come one after the other") {
    const chardev::Folder folder;
    Echo echo;
    REQUIRE(echo.start("unix:" + (folder / "s")) == "");
    for (int i = 1; i <= 3; ++i) {
        const Fd fd = chardev::connect_to(folder / "s");
        say(fd.get(), "abc");
        CHECK(chardev::read_some(fd.get(), 3) == "ABC");
        CHECK(echo.opened == i);
    }
    const Fd fd = chardev::connect_to(folder / "s");
    say(fd.get(), "q");
    CHECK(chardev::read_some(fd.get(), 5) == "Q");  // and then the end
    CHECK(chardev::within_seconds(10, [&] { return echo.closed == 4; }));
    echo.peer.stop();
    CHECK_FALSE(std::filesystem::exists(folder / "s"));
}

TEST_CASE("a peer connects to a socket that somebody listens on") {
    const chardev::Folder folder;
    Echo listening, connecting;
    REQUIRE(connecting.start("unix:" + (folder / "s"), true) != "");
    chardev::Opened server = chardev::open_unix(folder / "s");
    Echo second;
    REQUIRE(second.start("unix:" + (folder / "s"), true) == "");
    pollfd p{server.listener.get(), POLLIN, 0};
    REQUIRE(::poll(&p, 1, 5000) == 1);
    const Fd fd(::accept(server.listener.get(), nullptr, nullptr));
    say(fd.get(), "abc");
    CHECK(chardev::read_some(fd.get(), 3) == "ABC");
}

TEST_CASE("what is said at the end still arrives") {
    const chardev::Folder folder;
    Echo echo;
    REQUIRE(echo.start("unix:" + (folder / "s")) == "");
    const Fd fd = chardev::connect_to(folder / "s");
    REQUIRE(chardev::within_seconds(10, [&] { return echo.opened == 1; }));
    echo.peer.send("last words");
    echo.peer.stop();
    CHECK(chardev::read_some(fd.get(), 20) == "last words");
}

TEST_CASE("a pseudo-terminal has a client whenever somebody opens it") {
    Echo echo;
    REQUIRE(echo.start("pty") == "");
    for (int i = 0; i < 2; ++i) {
        const Fd fd(::open(echo.peer.where().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        REQUIRE(fd);
        say(fd.get(), "abc");
        CHECK(chardev::read_some(fd.get(), 3) == "ABC");
    }
}

TEST_CASE("each user of a pseudo-terminal comes and goes, and hears nothing of the others") {
    Echo echo;
    REQUIRE(echo.start("pty") == "");
    echo.peer.send("to nobody");
    for (int i = 1; i <= 3; ++i) {
        Fd fd(::open(echo.peer.where().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        REQUIRE(fd);
        REQUIRE(chardev::within_seconds(10, [&] { return echo.opened == i; }));
        say(fd.get(), "abc");
        CHECK(chardev::read_some(fd.get(), 3) == "ABC");
        say(fd.get(), "def");  // whose answer nobody reads
        fd.reset();
        REQUIRE(chardev::within_seconds(10, [&] { return echo.closed == i; }));
        echo.peer.send("to nobody");
    }
}

TEST_CASE("what is said at the end reaches the user of a pseudo-terminal") {
    Echo echo;
    REQUIRE(echo.start("pty") == "");
    const Fd fd(::open(echo.peer.where().c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    REQUIRE(chardev::within_seconds(10, [&] { return echo.opened == 1; }));
    echo.peer.send("last words");
    std::string heard;
    std::thread user([&] {
        ::usleep(100'000);
        heard = chardev::read_some(fd.get(), 10);
    });
    echo.peer.stop();
    user.join();
    CHECK(heard == "last words");
}

TEST_CASE("a peer that is not ready reads on when it is") {
    const chardev::Folder folder;
    std::atomic<bool> ready{false};
    std::atomic<std::size_t> heard{0};
    Peer peer;
    REQUIRE(peer.start("unix:" + (folder / "s"), false,
                       {{},
                        [&](std::string_view bytes) { heard += bytes.size(); },
                        {},
                        [](const std::string&) {},
                        [&] { return ready.load(); }}) == "");
    const Fd fd = chardev::connect_to(folder / "s");
    say(fd.get(), "abc");
    ::usleep(50'000);
    CHECK(heard == 0);
    ready = true;
    peer.ring();
    CHECK(chardev::within_seconds(10, [&] { return heard == 3; }));
}

TEST_CASE("what is no address is refused with what is possible") {
    Echo echo;
    CHECK(echo.start("nowhere").find("pty and stdio") != std::string::npos);
}
