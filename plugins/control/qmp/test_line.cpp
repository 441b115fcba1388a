// The server on a line: one client that comes and goes, says anything, and perhaps does not read.
#include <catch2/catch.hpp>

#include "chardev/test_host.hpp"
#include "server.hpp"

using namespace backplane;

namespace {

struct Rig {
    std::mutex mutex;
    std::string shown;
    std::vector<std::string> warnings;
    std::vector<Server::Done> held;
    std::atomic<std::size_t> unsent{0};
    std::atomic<int> more_room{0};
    Server server;

    explicit Rig(bool pretty = false) {
        const auto execute = [this](const std::string& command, const std::string&, Server::Done done) {
            const std::lock_guard g(mutex);
            if (command == "hold")
                held.push_back(std::move(done));
            else
                done(true, "\"" + command + "\"");
        };
        const auto warn = [this](const std::string& text) {
            const std::lock_guard g(mutex);
            warnings.push_back(text);
        };
        const auto send = [this](std::string_view bytes) {
            const std::lock_guard g(mutex);
            shown += bytes;
        };
        REQUIRE(server.start({send, [this] { return unsent.load(); }, [this] { ++more_room; }},
                             {execute, warn, {}, pretty}) == "");
    }
    bool shows(const std::string& text) {
        return chardev::within_seconds(10, [&] {
            const std::lock_guard g(mutex);
            return shown.find(text) != std::string::npos;
        });
    }
    std::string all() {
        const std::lock_guard g(mutex);
        return std::exchange(shown, {});
    }
    std::size_t holding() {
        const std::lock_guard g(mutex);
        return held.size();
    }
    void say(const std::string& text) { server.line_said(text); }
    void open() {
        server.line_opened();
        REQUIRE(shows("\"QMP\""));
        CHECK(all() == Session::greeting());
        say(R"({"execute":"qmp_capabilities"})");
        REQUIRE(shows("{\"return\": {}}\r\n"));
        all();
    }
};

}  // namespace

TEST_CASE("on a line everything is as on a socket") {
    Rig rig;
    rig.say("before anybody is there\n");
    rig.open();
    rig.say(R"({"execute":"stop","id":1}{"execute":"cont"})");
    CHECK(rig.shows("{\"return\": \"cont\"}\r\n"));
    CHECK(rig.all() == "{\"return\": \"stop\", \"id\": 1}\r\n{\"return\": \"cont\"}\r\n");
    rig.server.event(R"({"event":"STOP"})");
    CHECK(rig.shows("{\"event\":\"STOP\"}\r\n"));
    rig.say("garbage\n{\"execute\":\"stop\"}");
    CHECK(rig.shows("{\"return\": \"stop\"}\r\n"));
    CHECK(rig.all().find("malformed JSON") != std::string::npos);
}

TEST_CASE("who comes next begins anew, and gets nothing that was meant for the one before") {
    Rig rig;
    rig.open();
    rig.say(R"({"execute":"hold"}{"execute":"stop"}{"exec)");
    REQUIRE(chardev::within_seconds(10, [&] { return rig.holding() == 1; }));
    rig.server.line_closed();
    rig.open();
    rig.held[0](true, "\"late\"");
    rig.say(R"({"execute":"cont"})");
    CHECK(rig.shows("cont"));
    CHECK(rig.all() == "{\"return\": \"cont\"}\r\n");
    rig.server.line_closed();
    rig.server.line_opened();
    rig.server.event(R"({"event":"STOP"})");
    rig.say(R"({"execute":"stop"})");
    CHECK(rig.shows("negotiated first"));
    CHECK(rig.all().find("STOP") == std::string::npos);
}

TEST_CASE("a line without an end of garbage begins the conversation anew") {
    Rig rig;
    rig.open();
    const std::string some = "[" + std::string(60'000, ' ');
    for (int i = 0; i < 20; ++i) {
        rig.say(some);
        REQUIRE(chardev::within_seconds(10, [&] { return rig.server.line_room() == 65536; }));
    }
    CHECK(rig.shows("\"QMP\""));
    rig.say("\xff\n{\"execute\":\"qmp_capabilities\"}");
    CHECK(rig.shows("{\"return\": {}}"));
}

TEST_CASE("while the other end does not read, events are left out and commands wait") {
    Rig rig;
    rig.open();
    rig.unsent = Server::kMostUnsent + 1;
    rig.server.event(R"({"event":"LOST"})");
    rig.say(R"({"execute":"stop"})" + std::string(65536, ' '));
    REQUIRE(chardev::within_seconds(10, [&] {
        const std::lock_guard g(rig.mutex);
        return !rig.warnings.empty();
    }));
    CHECK(rig.server.line_room() == 0);
    CHECK(rig.all().empty());
    const int before = rig.more_room;
    rig.unsent = 0;
    CHECK(rig.shows("{\"return\": \"stop\"}"));
    CHECK(chardev::within_seconds(10, [&] { return rig.server.line_room() == 65536; }));
    CHECK(rig.more_room > before);
    rig.server.event(R"({"event":"HEARD"})");
    CHECK(rig.shows("HEARD"));
    CHECK(rig.all().find("LOST") == std::string::npos);
}

TEST_CASE("the end comes at once, with or without a client") {
    for (const bool busy : {false, true}) {
        Rig rig;
        if (busy) {
            rig.open();
            rig.say(R"({"execute":"hold"})");
            REQUIRE(chardev::within_seconds(10, [&] { return rig.holding() == 1; }));
        }
        const auto begin = std::chrono::steady_clock::now();
        rig.server.stop();
        CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(900));
    }
}

TEST_CASE("pretty output is the same, spread over lines") {
    Rig rig(true);
    rig.server.line_opened();
    rig.say(R"({"execute":"qmp_capabilities"}{"execute":"stop","id":1})");
    CHECK(rig.shows("{\n    \"id\": 1,\n    \"return\": \"stop\"\n}\r\n"));
    CHECK(rig.all().starts_with("{\n    \"QMP\": {\n"));
}
