// The server on real sockets: several clients, those that vanish, those that do not read, and its end.
#include <catch2/catch.hpp>

#include <condition_variable>

#include "chardev/test_host.hpp"
#include "server.hpp"

using namespace backplane;
using nlohmann::json;

namespace {

struct Rig {
    chardev::Folder folder;
    std::mutex mutex;
    std::vector<std::string> warnings;
    std::vector<std::pair<std::string, Server::Done>> held;
    Server server;

    explicit Rig(const std::string& address = "") {
        control::Address a;
        std::string error;
        REQUIRE(control::parse_address(address.empty() ? "unix:" + path() : address, a, error));
        // "hold" waits for release(), any other command returns its name.
        const auto execute = [this](const std::string& command, const std::string&, Server::Done done) {
            const std::lock_guard g(mutex);
            if (command == "hold")
                held.emplace_back(command, std::move(done));
            else if (command == "long")
                done(true, "\"" + std::string(3 << 20, 'x') + "\"");
            else
                done(true, "\"" + command + "\"");
        };
        const auto warn = [this](const std::string& text) {
            const std::lock_guard g(mutex);
            warnings.push_back(text);
        };
        REQUIRE(server.start(a, {execute, warn}) == "");
    }
    std::string path() const { return folder / "socket"; }
    std::size_t holding() {
        const std::lock_guard g(mutex);
        return held.size();
    }
    void release() {
        const std::lock_guard g(mutex);
        for (auto& [command, done] : held) done(true, "\"released\"");
        held.clear();
    }
    bool warned(const std::string& text) {
        return chardev::within_seconds(10, [&] {
            const std::lock_guard g(mutex);
            for (const auto& w : warnings)
                if (w.find(text) != std::string::npos) return true;
            return false;
        });
    }
};

struct Peer {
    Fd fd;
    std::string pending;

    explicit Peer(const control::Address& a) : fd(::socket(a.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        if (::connect(fd.get(), a.sockaddr_ptr(), a.size) != 0) fd.reset();
    }
    explicit Peer(Rig& rig, bool negotiate = true) : Peer(rig.server.address()) {
        if (!negotiate) return;
        REQUIRE(line().contains("QMP"));
        REQUIRE(ask(R"({"execute":"qmp_capabilities"})") == json{{"return", json::object()}});
    }
    void say(const std::string& text) {
        REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
    }
    // The next line; null at the end of the stream or when none comes.
    json line() {
        for (;;) {
            if (const auto end = pending.find('\n'); end != std::string::npos) {
                const json value = json::parse(pending.substr(0, end));
                pending.erase(0, end + 1);
                return value;
            }
            pollfd p{fd.get(), POLLIN, 0};
            if (::poll(&p, 1, 20'000) <= 0) return nullptr;
            char buffer[65536];
            const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
            if (n <= 0) return nullptr;
            pending.append(buffer, static_cast<std::size_t>(n));
        }
    }
    json ask(const std::string& text) {
        say(text);
        return line();
    }
    bool ended() { return line().is_null(); }
};

}  // namespace

TEST_CASE("two clients have conversations of their own, and both hear events") {
    Rig rig;
    Peer a(rig), b(rig);
    Peer stranger(rig, false);
    CHECK(stranger.line().contains("QMP"));
    a.say(R"({"execute": "hold", "id": 1})");
    CHECK(b.ask(R"({"execute": "stop", "id": 2})") == json{{"return", "stop"}, {"id", 2}});
    REQUIRE(chardev::within_seconds(10, [&] { return rig.holding() == 1; }));
    rig.server.event(R"({"event":"STOP"})");
    CHECK(a.line() == json{{"event", "STOP"}});
    CHECK(b.line() == json{{"event", "STOP"}});
    rig.release();
    CHECK(a.line() == json{{"return", "released"}, {"id", 1}});
    // Nobody hears events who has not negotiated.
    CHECK(stranger.ask(R"({"execute":"qmp_capabilities"})").contains("return"));
}

TEST_CASE("commands that come at once are carried out one after the other") {
    Rig rig;
    Peer peer(rig);
    std::string all;
    for (int i = 0; i < 500; ++i) all += R"({"execute":"c)" + std::to_string(i) + "\"}";
    peer.say(all);
    for (int i = 0; i < 500; ++i) CHECK(peer.line() == json{{"return", "c" + std::to_string(i)}});
}

TEST_CASE("a client that says no more is answered and then let go") {
    Rig rig;
    Peer peer(rig);
    peer.say(R"({"execute":"hold"}{"execute":"stop"})");
    ::shutdown(peer.fd.get(), SHUT_WR);
    REQUIRE(chardev::within_seconds(10, [&] { return rig.holding() == 1; }));
    rig.release();
    CHECK(peer.line() == json{{"return", "released"}});
    CHECK(peer.line() == json{{"return", "stop"}});
    CHECK(peer.ended());
}

TEST_CASE("a client that vanishes in the middle of a command hurts nobody") {
    Rig rig;
    {
        Peer peer(rig);
        peer.say(R"({"execute":"hold"}{"execute":"st)");
        REQUIRE(chardev::within_seconds(10, [&] { return rig.holding() == 1; }));
    }
    Peer other(rig);
    CHECK(other.ask(R"({"execute":"stop"})") == json{{"return", "stop"}});
    rig.release();
    CHECK(other.ask(R"({"execute":"stop"})") == json{{"return", "stop"}});
}

TEST_CASE("a client that does not read is dropped when events pile up; others go on") {
    Rig rig;
    Peer lazy(rig), eager(rig);
    const std::string event = "{\"event\":\"" + std::string(60'000, 'E') + "\"}";
    std::thread reader([&] {
        while (eager.line().contains("event")) {}
    });
    for (int i = 0; i < 60; ++i) {
        rig.server.event(event);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(rig.warned("does not read"));
    eager.say(R"({"execute":"stop"})");
    reader.join();
    // What was sent before is cut off somewhere.
    std::string rest;
    char buffer[65536];
    ssize_t n = 0;
    while ((n = ::recv(lazy.fd.get(), buffer, sizeof buffer, 0)) > 0) rest.append(buffer, static_cast<std::size_t>(n));
    CHECK(rest.size() < 60 * event.size());
}

TEST_CASE("answers wait for a slow reader") {
    Rig rig;
    Peer peer(rig);
    peer.say(R"({"execute":"long"}{"execute":"long"}{"execute":"stop"})");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(peer.line().at("return").get<std::string>().size() == 3 << 20);
    CHECK(peer.line().at("return").get<std::string>().size() == 3 << 20);
    CHECK(peer.line() == json{{"return", "stop"}});
}

TEST_CASE("an endless line ends the connection with a reason") {
    Rig rig;
    Peer peer(rig);
    const std::string part(64 << 10, 'x');
    std::string text = "{\"execute\":\"";
    for (int i = 0; i < 20; ++i) {
        if (::send(peer.fd.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) break;
        text = part;
    }
    CHECK(peer.line().at("error").at("desc").get<std::string>().find("without a complete object") != std::string::npos);
    CHECK(peer.ended());
    CHECK(Peer(rig).ask(R"({"execute":"stop"})") == json{{"return", "stop"}});
}

TEST_CASE("there are no more clients than the limit, and a place becomes free again") {
    Rig rig;
    std::vector<std::unique_ptr<Peer>> peers;
    for (std::size_t i = 0; i < Server::kMostClients; ++i) peers.push_back(std::make_unique<Peer>(rig));
    Peer late(rig, false);
    CHECK(late.line().at("error").at("desc") == "there are 16 clients already");
    CHECK(late.ended());
    peers.pop_back();
    CHECK(chardev::within_seconds(10, [&] {
        Peer again(rig, false);
        return again.line().contains("QMP");
    }));
}

TEST_CASE("at the end clients get what is left, then the end of the stream; the socket is gone") {
    Rig rig;
    Peer a(rig), b(rig);
    a.say(R"({"execute":"hold"})");
    REQUIRE(chardev::within_seconds(10, [&] { return rig.holding() == 1; }));
    rig.release();
    rig.server.event(R"({"event":"SHUTDOWN"})");
    std::thread end([&] { rig.server.stop(); });
    CHECK(a.line() == json{{"return", "released"}});
    CHECK(a.line() == json{{"event", "SHUTDOWN"}});
    CHECK(a.ended());
    CHECK(b.line() == json{{"event", "SHUTDOWN"}});
    CHECK(b.ended());
    a.fd.reset(), b.fd.reset();
    end.join();
    CHECK_FALSE(std::filesystem::exists(rig.path()));
    rig.server.event("{}");
    rig.release();
}

TEST_CASE("a client that neither reads nor closes holds the end up for a moment only") {
    Rig rig;
    Peer lazy(rig);
    lazy.say(R"({"execute":"long"})");
    rig.server.stop();
    CHECK_FALSE(std::filesystem::exists(rig.path()));
}

TEST_CASE("an answer that comes after the end finds nobody") {
    Rig rig;
    {
        Peer peer(rig);
        peer.say(R"({"execute":"hold"})");
        REQUIRE(chardev::within_seconds(10, [&] { return rig.holding() == 1; }));
        rig.server.stop();
    }
    rig.release();
}

TEST_CASE("over TCP another protocol's request ends the connection") {
    Rig rig("tcp:127.0.0.1:0");
    Peer peer(rig);
    CHECK(peer.ask(R"({"execute":"stop"})") == json{{"return", "stop"}});
    Peer browser(rig, false);
    CHECK(browser.line().contains("QMP"));
    browser.say("POST / HTTP/1.1\r\n\r\n{\"execute\":\"qmp_capabilities\"}{\"execute\":\"hold\"}");
    CHECK(browser.line().at("error").at("class") == "GenericError");
    CHECK(browser.ended());
    CHECK(rig.holding() == 0);
}
