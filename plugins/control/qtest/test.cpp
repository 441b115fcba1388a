// The protocol on a machine of the test's own: 64 KiB of memory, ports that keep what is written.
#include <catch2/catch.hpp>

#include <map>

#include "base64.hpp"
#include "protocol.hpp"

using backplane::qtest::Protocol;
using nlohmann::json;

namespace {

struct FakeMachine {
    std::map<int, std::uint64_t> ports;
    std::string memory = std::string(0x10000, '\0');
    std::int64_t time = 0;
    std::vector<std::string> calls;
    Protocol protocol{[this](const std::string& command, const json& a) { return run(command, a); }};

    json run(const std::string& command, const json& a) {
        calls.push_back(command + " " + a.dump());
        if (command == "port-read") return {{"value", ports[a.at("port")]}};
        if (command == "port-write") return ports[a.at("port")] = a.at("value"), json::object();
        if (command == "query-stats") return {{"time-ns", time}};
        if (command == "clock-advance") {
            time = std::max(time, a.value("until", std::int64_t{777}));
            return {{"time-ns", time}};
        }
        if (command == "line-watch") {
            if (a.at("device") == "nobody") throw std::runtime_error("there is no device `nobody`");
            return json::object();
        }
        const std::uint64_t address = a.at("address");
        if (address >= memory.size() && !a.contains("access")) throw std::runtime_error("that is no memory");
        if (command == "memory-write") {
            const std::string bytes = backplane::qtest::from_hex(a.at("data"));
            if (address < memory.size()) memory.replace(address, bytes.size(), bytes);
            return json::object();
        }
        const std::size_t size = a.at("size");
        const std::string data = address < memory.size() ? memory.substr(address, size) : std::string(size, '\xff');
        return {{"data", backplane::qtest::to_hex(data)}};
    }
    std::string say(const std::string& line) { return protocol.answer(line); }
};

}  // namespace

TEST_CASE("ports of all sizes are read and written") {
    FakeMachine m;
    CHECK(m.say("outb 0x70 0x12") == "OK");
    CHECK(m.say("outw 113 0x1234") == "OK");
    CHECK(m.say("outl 0xcf8 0x80000000") == "OK");
    CHECK(m.say("inb 0x70") == "OK 0x0012");
    CHECK(m.say("inw 0x71") == "OK 0x1234");
    CHECK(m.say("inl 3320") == "OK 0x80000000");
    CHECK(m.calls.back() == R"(port-read {"bytes":4,"port":3320})");
}

TEST_CASE("memory of all sizes is read and written") {
    FakeMachine m;
    CHECK(m.say("writeq 0x10 0x1122334455667788") == "OK");
    CHECK(m.say("readb 0x10") == "OK 0x0000000000000088");
    CHECK(m.say("readw 0x10") == "OK 0x0000000000007788");
    CHECK(m.say("readl 0x14") == "OK 0x0000000011223344");
    CHECK(m.say("readq 0x10") == "OK 0x1122334455667788");
    CHECK(m.say("write 0x20 4 0xdeadbeef") == "OK");
    CHECK(m.say("read 0x1f 6") == "OK 0x00deadbeef00");
    CHECK(m.say("b64read 0x20 4") == "OK 3q2+7w==");
    CHECK(m.say("b64write 0x30 5 aGVsbG8=") == "OK");
    CHECK(m.say("read 0x30 5") == "OK 0x68656c6c6f");
    CHECK(m.say("memset 0x40 3 0x5a") == "OK");
    CHECK(m.say("read 0x40 4") == "OK 0x5a5a5a00");
    CHECK(m.say("read 0x20000 2") == "OK 0xffff");  // registers, byte by byte
    CHECK(m.calls.back() == R"(memory-read {"access":1,"address":131072,"size":2})");
}

TEST_CASE("the clock is stepped and set") {
    FakeMachine m;
    CHECK(m.say("clock_step") == "OK 777");
    CHECK(m.say("clock_step 1000") == "OK 1777");
    CHECK(m.say("clock_set 5000") == "OK 5000");
    CHECK(m.say("clock_step 0xffffffffffffffff").starts_with("FAIL"));
}

TEST_CASE("the lines of one device are intercepted") {
    FakeMachine m;
    CHECK(m.say("irq_intercept_in nobody") == "FAIL there is no device `nobody`");
    CHECK(m.say("irq_intercept_in pic") == "OK");
    CHECK(m.say("irq_intercept_in pic") == "OK");
    CHECK(m.say("irq_intercept_out pic") == "FAIL the lines of pic are intercepted already");
    CHECK(Protocol::interrupt(R"({"event":"BACKPLANE_LINE","data":{"line":14,"level":true}})") == "IRQ raise 14");
    CHECK(Protocol::interrupt(R"({"event":"BACKPLANE_LINE","data":{"line":14,"level":false}})") == "IRQ lower 14");
    CHECK(Protocol::interrupt(R"({"event":"STOP","data":{}})").empty());
    m.protocol.forget();
    CHECK(m.calls.back() == R"(line-watch {"device":"pic","on":false,"outputs":false})");
    CHECK(m.say("irq_intercept_out pic") == "OK");
}

TEST_CASE("what is no command is answered with FAIL and a reason") {
    FakeMachine m;
    CHECK(m.say("endianness") == "OK little");
    CHECK(m.say("") == "FAIL there is no command");
    CHECK(m.say("inq 1") == "FAIL there is no command `inq`");
    CHECK(m.say("outb 1") == "FAIL outb takes 2 arguments, not 1");
    CHECK(m.say("inb x") == "FAIL expected a number, found `x`");
    CHECK(m.say("inb -1") == "FAIL expected a number, found `-1`");
    CHECK(m.say("inb 0x10000") == "FAIL there is no port `0x10000`");
    CHECK(m.say("read 0 0").starts_with("FAIL a range has"));
    CHECK(m.say("write 0 4 0x00") == "FAIL the data have 1 bytes");
    CHECK(m.say("write 0 1 00").starts_with("FAIL expected data"));
    CHECK(m.say("b64write 0 1 ???") == "FAIL that is no base64");
}
