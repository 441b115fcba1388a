#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>

#include "backplane/testkit/bench.hpp"
#include "model.hpp"

using namespace backplane;
using example::PluginName;
using testkit::Bench;

namespace {

// The back end, and the device at its end of the stream.
struct Stream {
    Bench<PluginName> backend;
    bp_interface end = backend.offer(BP_CHARDEV_ID);
    u32 room = 1000;
    std::string received;
    bp_char_receiver receiver{sizeof(bp_char_receiver), [](void* s) { return static_cast<Stream*>(s)->room; },
                              [](void* s, const u8* data, u32 count) {
                                  auto& self = *static_cast<Stream*>(s);
                                  self.received.append(data, data + count);
                                  self.room -= count;
                              },
                              nullptr};

    explicit Stream(testkit::Properties properties = {}) : backend(std::move(properties)) {
        table().connect(end.instance, &receiver, this);
    }
    const bp_chardev& table() const { return *static_cast<const bp_chardev*>(end.table); }
    u32 write(const std::string& text) {
        return table().write(end.instance, reinterpret_cast<const u8*>(text.data()), static_cast<u32>(text.size()));
    }
    // Until that much has arrived, or for ten seconds.
    void wait_for(std::size_t bytes) {
        for (int i = 0; i < 10'000 && received.size() < bytes; ++i) {
            backend.run_posted();
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }
};

}  // namespace

TEST_CASE("the other end answers in capital letters") {
    Stream s;
    CHECK(s.write("hello, 1") == 8);
    s.wait_for(8);
    CHECK(s.received == "HELLO, 1");
}

TEST_CASE("the other end answers as written if the board says so") {
    Stream s(testkit::Properties{{"capitals", "false"}});
    s.write("hello");
    s.wait_for(5);
    CHECK(s.received == "hello");
}

TEST_CASE("a device gets no more than it has room for, and the rest when it has room again") {
    Stream s;
    s.room = 2;
    s.write("hello");
    s.wait_for(2);
    CHECK(s.received == "HE");
    s.room = 10;
    s.table().room_changed(s.end.instance);
    s.wait_for(5);
    CHECK(s.received == "HELLO");
}

TEST_CASE("no more than the buffer holds is taken at once") {
    Stream s(testkit::Properties{{"buffer", "4"}});
    CHECK(s.write("hello") <= 4);
}
