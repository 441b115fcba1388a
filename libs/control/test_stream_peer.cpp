// A front end's end of a character stream of the board.
#include <algorithm>
#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "control/stream_peer.hpp"

using namespace backplane;

namespace {

// Keeps what it hears, as far as it has room.
struct Ear : Device<Ear> {
    static constexpr std::string_view kType = "test.ear";
    using Device::Device;
    static void describe(Schema<Ear>& s) {
        s.doc("a front end for a test");
        s.link("chardev", &Ear::chardev_, BP_CHARDEV_ID, "the stream");
    }
    bp_status start() {
        peer.start(slot(),
                   {[this](std::string_view bytes) { heard += bytes, room -= bytes.size(); }, [this] { return room; }});
        return BP_OK;
    }
    void connect() { peer.connect(chardev_.operator->(), chardev_.instance()); }
    void stop() { peer.stop(); }

    control::StreamPeer peer;
    std::string heard;
    std::size_t room = 4;

  private:
    Link<bp_chardev> chardev_;
};

// The stream: takes as much as it is told, and types as fast as it may.
struct Typist {
    std::string shown, typed;
    u32 accepts = ~0u;
    const bp_char_receiver* receiver = nullptr;
    void* instance = nullptr;
    void type(const std::string& text) {
        typed += text;
        while (!typed.empty()) {
            const u32 n = std::min<u32>(receiver->room(instance), static_cast<u32>(typed.size()));
            if (n == 0) return;
            receiver->receive(instance, reinterpret_cast<const u8*>(typed.data()), n);
            typed.erase(0, n);
        }
    }
    static Typist& at(void* i) { return *static_cast<Typist*>(i); }
    static constexpr bp_chardev kTable{sizeof(bp_chardev),
                                       [](void* i, const u8* data, u32 count) -> u32 {
                                           const u32 n = std::min(count, at(i).accepts);
                                           at(i).accepts -= n;
                                           at(i).shown.append(reinterpret_cast<const char*>(data), n);
                                           return n;
                                       },
                                       [](void* i, const bp_char_receiver* receiver, void* instance) {
                                           at(i).receiver = receiver, at(i).instance = instance;
                                       },
                                       [](void* i) { at(i).type(""); }};
};

}  // namespace

TEST_CASE("a stream brings what there is room for, and the rest when told so") {
    Typist typist;
    testkit::Bench<Ear> board({}, {{"chardev", {&Typist::kTable, &typist}}});
    Ear& ear = *static_cast<Ear*>(board.instance());
    typist.type("command");
    CHECK(ear.heard == "comm");
    ear.room = 100;
    ear.peer.room_changed();
    board.run_posted();
    CHECK(ear.heard == "command");
}

TEST_CASE("what a stream does not take at once is tried again, and goes at the end") {
    Typist typist;
    {
        testkit::Bench<Ear> board({}, {{"chardev", {&Typist::kTable, &typist}}});
        Ear& ear = *static_cast<Ear*>(board.instance());
        typist.accepts = 3;
        ear.peer.send("answer");
        CHECK(typist.shown.empty());  // the stream is the machine's thread's
        board.run_posted();
        CHECK(typist.shown == "ans");
        CHECK(ear.peer.unsent() == 3);
        typist.accepts = 1;
        ear.peer.send("");
        board.run_posted();
        CHECK(typist.shown == "answ");
        const std::string much(control::StreamPeer::kMostUnsent, 'x');
        ear.peer.send(much);  // beyond what is kept
        CHECK(ear.peer.unsent() == 2);
        typist.accepts = ~0u;
    }
    CHECK(typist.shown == "answer");
}
