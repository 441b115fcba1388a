// The registry of commands: arguments, answers, events and the end of the machine.
#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <optional>
#include <thread>

#include "kernel/config/error.hpp"
#include "kernel/control/control.hpp"
#include "kernel/control/machine_events.hpp"

using namespace backplane;
using namespace backplane::kernel;

namespace {

// A machine's thread that works when it is told to.
struct Rig {
    std::deque<Control::Work> posted, standstill;
    Control control{[this](Control::Work w) { posted.push_back(std::move(w)); },
                    [this](Control::Work w) { standstill.push_back(std::move(w)); }};
    std::vector<std::string> told;
    explicit Rig(bool begun = true) {
        if (begun) control.begin();
    }

    static void drain(std::deque<Control::Work>& queue) {
        while (!queue.empty()) {
            const Control::Work work = std::move(queue.front());
            queue.pop_front();
            work();
        }
    }
    void execute(const std::string& command, const std::string& arguments = "") {
        control.execute(command, arguments, [this](bool good, const std::string& json) {
            told.push_back((good ? "ok " : "failed ") + json);
        });
    }
    std::string answer(const std::string& command, const std::string& arguments = "") {
        execute(command, arguments);
        drain(posted);
        drain(standstill);
        drain(posted);
        REQUIRE(told.size() == 1);
        const std::string text = told.back();
        told.clear();
        return text;
    }
};

std::string failed(const std::string& desc, const std::string& error_class = "GenericError") {
    return "failed " + Json{{"class", error_class}, {"desc", desc}}.dump();
}

}  // namespace

TEST_CASE("a command gets its arguments and returns a value") {
    Rig rig;
    rig.control.add({"add",
                     "",
                     {{"a", ArgumentSpec::Type::kNumber}, {"b", ArgumentSpec::Type::kNumber, true}},
                     {},
                     [](const Arguments& a) -> Json {
                         return {{"sum", a.number("a") + a.number("b", 1)}};
                     },
                     {}});
    CHECK(rig.answer("add", R"({"a": 2, "b": 3})") == R"(ok {"sum":5})");
    CHECK(rig.answer("add", R"({"a": -2})") == R"(ok {"sum":-1})");
}

TEST_CASE("arguments that are missing, unknown or of the wrong type are named") {
    Rig rig;
    using Type = ArgumentSpec::Type;
    rig.control.add({"all",
                     "",
                     {{"text", Type::kText},
                      {"number", Type::kNumber, true},
                      {"flag", Type::kBool, true},
                      {"list", Type::kList, true},
                      {"any", Type::kAny, true}},
                     {},
                     [](const Arguments& a) { return a.value("any"); },
                     {}});
    CHECK(rig.answer("all", R"({"text": "", "any": [1]})") == "ok [1]");
    CHECK(rig.answer("all", R"({"text": ""})") == "ok null");
    CHECK(rig.answer("all") == failed("argument `text` is missing"));
    CHECK(rig.answer("all", R"({"text": 1})") == failed("argument `text`: expected a text"));
    CHECK(rig.answer("all", R"({"text": "", "number": 1.5})") == failed("argument `number`: expected a whole number"));
    CHECK(rig.answer("all", R"({"text": "", "number": 9223372036854775808})") ==
          failed("argument `number`: expected a whole number"));
    CHECK(rig.answer("all", R"({"text": "", "flag": 1})") == failed("argument `flag`: expected true or false"));
    CHECK(rig.answer("all", R"({"text": "", "list": {}})") == failed("argument `list`: expected a list"));
    CHECK(rig.answer("all", R"({"text": "", "lst": []})") == failed("unknown argument `lst`; did you mean `list`?"));
    CHECK(rig.answer("all", "[]") == failed("the arguments must be an object"));
    CHECK(rig.answer("all", "{") == failed("the arguments must be an object"));
}

TEST_CASE("what is asked for before the machine runs waits for it") {
    Rig rig(false);
    rig.execute("late");
    rig.execute("never");
    Rig::drain(rig.posted);
    rig.control.add({"late", "", {}, {}, [](const Arguments&) -> Json { return 1; }, {}});
    CHECK(rig.told.empty());
    rig.control.begin();
    Rig::drain(rig.posted);
    REQUIRE(rig.told.size() == 2);
    CHECK(rig.told[0] == "ok 1");
}

TEST_CASE("errors have a class") {
    Rig rig;
    rig.control.add(
        {"own", "", {}, {}, [](const Arguments&) -> Json { throw CommandError("DeviceNotFound", "no device x"); }, {}});
    rig.control.add({"kernel", "", {}, {}, [](const Arguments&) -> Json { throw Error("no such file"); }, {}});
    CHECK(rig.answer("own") == failed("no device x", "DeviceNotFound"));
    CHECK(rig.answer("kernel") == failed("no such file"));
    CHECK(rig.answer("onw") == failed("there is no command `onw`; did you mean `own`?", "CommandNotFound"));
    CHECK(rig.answer(std::string(1 << 20, 'x')).size() < 300);
}

TEST_CASE("a value with bytes that are no UTF-8 is still JSON") {
    Rig rig;
    rig.control.add({"odd", "", {}, {}, [](const Arguments&) -> Json { return "a\xff"; }, {}});
    CHECK(rig.answer("odd") == "ok \"a\xef\xbf\xbd\"");
}

TEST_CASE("a command waits for the standstill, and another one until the machine has acted") {
    Rig rig;
    std::string order;
    rig.control.add({"still",
                     "",
                     {},
                     Command::When::kStandstill,
                     [&](const Arguments&) -> Json { return order += "still ", 1; },
                     {}});
    rig.control.add(
        {"after", "", {}, Command::When::kAfter, [&](const Arguments&) -> Json { return order += "after ", 2; }, {}});
    rig.execute("still");
    rig.execute("after");
    Rig::drain(rig.posted);
    CHECK(order.empty());
    Rig::drain(rig.standstill);
    CHECK(order == "still after ");
    CHECK(rig.told == std::vector<std::string>{"ok 1"});
    Rig::drain(rig.posted);
    CHECK(rig.told == std::vector<std::string>{"ok 1", "ok 2"});
}

TEST_CASE("a command that takes its time answers once, from any thread") {
    Rig rig;
    std::optional<Reply> reply;
    rig.control.add({"slow", "", {}, {}, {}, [&](const Arguments&, Reply r) { reply = r; }});
    rig.execute("slow");
    Rig::drain(rig.posted);
    REQUIRE(reply);
    CHECK(rig.told.empty());
    std::thread([&] {
        reply->ok("done");
        reply->fail(CommandError("too late"));
    }).join();
    CHECK(rig.told.empty());
    Rig::drain(rig.posted);
    CHECK(rig.told == std::vector<std::string>{"ok \"done\""});
}

TEST_CASE("listeners hear events with a time stamp until they leave") {
    Rig rig;
    std::vector<Json> heard;
    rig.control.listen(&rig, [&](const std::string& json) { heard.push_back(Json::parse(json)); });
    rig.control.emit("STOP");
    rig.control.emit_soon("RESUME", {{"why", 1}});
    CHECK(heard.size() == 1);
    Rig::drain(rig.posted);
    REQUIRE(heard.size() == 2);
    CHECK(heard[0].at("event") == "STOP");
    CHECK(heard[0].at("data") == Json::object());
    CHECK(heard[0].at("timestamp").at("seconds").get<i64>() > 1'000'000'000);
    CHECK(heard[1].at("data") == Json{{"why", 1}});
    rig.control.listen(&rig, {});
    rig.control.emit("STOP");
    CHECK(heard.size() == 2);
}

TEST_CASE("the machine's end answers everybody: what was done, what was not, and what comes too late") {
    Rig rig;
    std::optional<Reply> reply;
    rig.control.add({"slow", "", {}, {}, {}, [&](const Arguments&, Reply r) { reply = r; }});
    rig.control.add({"after", "", {}, Command::When::kAfter, [](const Arguments&) -> Json { return 2; }, {}});
    rig.control.add({"still", "", {}, Command::When::kStandstill, [](const Arguments&) -> Json { return 3; }, {}});
    rig.control.listen(&rig, [&](const std::string& json) { rig.told.push_back(Json::parse(json).at("event")); });
    rig.execute("slow");
    rig.execute("after");
    Rig::drain(rig.posted);
    Rig::drain(rig.standstill);
    rig.execute("still");
    rig.control.end("SHUTDOWN");
    const std::string ended = failed("the machine has ended");
    CHECK(rig.told == std::vector<std::string>{"ok 2", "SHUTDOWN", ended, ended});
    rig.told.clear();
    rig.execute("still");
    CHECK(rig.told == std::vector<std::string>{ended});
    rig.told.clear();
    reply->ok("too late");
    rig.control.emit("STOP");
    rig.control.end("SHUTDOWN");
    Rig::drain(rig.posted);
    Rig::drain(rig.standstill);
    CHECK(rig.told.empty());
}

TEST_CASE("a caller in another thread waits for the value") {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<Control::Work> queue;
    const auto post = [&](Control::Work w) {
        const std::lock_guard g(mutex);
        queue.push_back(std::move(w));
        wake.notify_one();
    };
    Control control(post, post);
    control.begin();
    control.add({"twice",
                 "",
                 {{"n", ArgumentSpec::Type::kNumber}},
                 Command::When::kAfter,
                 [](const Arguments& a) -> Json { return 2 * a.number("n"); },
                 {}});
    std::atomic<bool> over{false};
    std::thread machine([&] {
        std::unique_lock lock(mutex);
        while (!over) {
            wake.wait_for(lock, std::chrono::milliseconds(20), [&] { return !queue.empty(); });
            while (!queue.empty()) {
                const Control::Work work = std::move(queue.front());
                queue.pop_front();
                lock.unlock();
                work();
                lock.lock();
            }
        }
    });
    CHECK(control.call("twice", {{"n", 21}}) == 42);
    CHECK_THROWS_WITH(control.call("thrice"), Catch::Contains("there is no command `thrice`"));
    over = true;
    machine.join();
}

TEST_CASE("what a device tells is handed on as it is, under its name, after what was begun before") {
    Rig rig;
    std::vector<Json> heard;
    rig.control.listen(&heard, [&](const std::string& json) { heard.push_back(Json::parse(json)); });
    tell_of_device(rig.control, "hdc-drive", "tray-moved", R"({"open": true})");
    CHECK(heard.empty());
    Rig::drain(rig.posted);
    REQUIRE(heard.size() == 1);
    CHECK(heard[0]["event"] == "BACKPLANE_DEVICE");
    CHECK(heard[0]["data"] == Json{{"device", "hdc-drive"}, {"event", "tray-moved"}, {"data", {{"open", true}}}});
    for (const char* bad : {"", "{", "[1]", "null", "\xff"}) tell_of_device(rig.control, "x", "y", bad);
    Rig::drain(rig.posted);
    REQUIRE(heard.size() == 6);
    CHECK(heard[5]["data"] == Json{{"device", "x"}, {"event", "y"}, {"data", Json::object()}});
    rig.control.listen(&heard, {});
}
