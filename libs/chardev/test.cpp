#include <fcntl.h>
#include <sys/stat.h>
#include <catch2/catch.hpp>

#include <thread>

#include "chardev/stream.hpp"
#include "chardev/test_host.hpp"

using namespace backplane;
using namespace backplane::chardev;

namespace {

// A stream with what a machine does around it.
struct Host {
    std::mutex mutex;
    std::string warnings;
    std::string submitted;  // on its way through the kernel
    Receiver receiver;
    Stream stream;

    std::string start(Opened end, Stream::Options options = {}) {
        stream.connect(&Receiver::kTable, &receiver);
        return stream.start(std::move(end),
                            {[this](const u8* data, std::size_t count) {
                                 std::lock_guard g(mutex);
                                 submitted.append(reinterpret_cast<const char*>(data), count);
                             },
                             [this](const std::string& text) {
                                 std::lock_guard g(mutex);
                                 warnings += text + "\n";
                             }},
                            options);
    }
    // What the machine's thread does from time to time.
    void hand_back() {
        std::string bytes;
        {
            std::lock_guard g(mutex);
            bytes.swap(submitted);
        }
        stream.input(reinterpret_cast<const u8*>(bytes.data()), bytes.size());
    }
    std::size_t under_way() {
        std::lock_guard g(mutex);
        return submitted.size();
    }
    u32 write(const std::string& text) {
        return stream.write(reinterpret_cast<const u8*>(text.data()), static_cast<u32>(text.size()));
    }
    // Writes once somebody is connected: before, output goes nowhere.
    bool reaches(int fd, const std::string& text) {
        return within_seconds(5, [&] {
            write(text);
            pollfd p{fd, POLLIN, 0};
            return ::poll(&p, 1, 20) > 0;
        });
    }
    bool gets(const std::string& text) {
        return within_seconds(5, [&] {
            hand_back();
            return receiver.got == text;
        });
    }
    std::string all_warnings() {
        std::lock_guard g(mutex);
        return warnings;
    }
};

void send(const Fd& fd, const std::string& text) {
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}
std::size_t open_descriptors() {
    std::size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
    return n;
}

}  // namespace

TEST_CASE("a file gets every byte, also more than the buffer holds") {
    Folder folder;
    std::string expected;
    {
        Host h;
        REQUIRE(h.start(open_file(folder / "log", false)).empty());
        for (int i = 0; i < 20000; ++i) {
            const std::string line = "line " + std::to_string(i) + " of what the guest prints\n";
            REQUIRE(h.write(line) == line.size());
            expected += line;
        }
        h.stream.stop();
    }
    CHECK(contents(folder / "log") == expected);
}

TEST_CASE("a file is replaced or appended to") {
    Folder folder;
    for (const bool append : {false, true, false}) {
        Host h;
        REQUIRE(h.start(open_file(folder / "log", append)).empty());
        h.write("text");
        h.stream.stop();
        CHECK(contents(folder / "log") == (append ? "texttext" : "text"));
    }
}

TEST_CASE("a file that cannot be written is an error that names it") {
    Folder folder;
    Host h;
    CHECK(h.start(open_file(folder / "missing/log", false)).find("missing/log: cannot be written") !=
          std::string::npos);
    REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
    CHECK(open_file(folder / "pipe", false).error.find("nobody reads") != std::string::npos);
}

TEST_CASE("a full disk is reported once and does not hold the guest up") {
    Host h;
    Opened full = open_file("/dev/full", true);
    if (!full.error.empty()) return;
    REQUIRE(h.start(std::move(full)).empty());
    const std::string block(1000, 'x');
    for (int i = 0; i < 200; ++i) CHECK(h.write(block) == block.size());
    h.stream.stop();
    CHECK(std::count(h.warnings.begin(), h.warnings.end(), '\n') == 1);
}

TEST_CASE("a pseudo-terminal carries bytes both ways unchanged, for one user after another") {
    Folder folder;
    Host h;
    Opened pty = open_pty(folder / "console");
    REQUIRE(pty.error.empty());
    REQUIRE(h.start(std::move(pty)).empty());
    h.receiver.room = 100;
    const std::string all = "\x03\r\n\x04\x11\x13\xff~";
    std::string expected;
    for (int user = 0; user < 3; ++user) {
        Fd slave(::open((folder / "console").c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        REQUIRE(slave);
        REQUIRE(h.reaches(slave.get(), "."));
        ::usleep(30'000);
        char junk[4096];
        pollfd p{slave.get(), POLLIN, 0};
        while (::poll(&p, 1, 20) > 0) REQUIRE(::read(slave.get(), junk, sizeof junk) > 0);
        CHECK(h.write(all) == all.size());
        CHECK(read_some(slave.get(), all.size()) == all);
        send(slave, all);
        expected += all;
        CHECK(h.gets(expected));
    }
    h.stream.stop();
    CHECK_FALSE(std::filesystem::is_symlink(folder / "console"));
}

TEST_CASE("the link to a pseudo-terminal replaces a link but no file") {
    Folder folder;
    std::ofstream(folder / "file") << "mine";
    CHECK(open_pty(folder / "file").error.find("no symbolic link") != std::string::npos);
    CHECK(contents(folder / "file") == "mine");
    std::filesystem::create_symlink("/nowhere", folder / "old");
    Opened pty = open_pty(folder / "old");
    CHECK(pty.error.empty());
    CHECK(std::filesystem::read_symlink(folder / "old") == pty.slave);
}

TEST_CASE("a socket carries bytes both ways, for one client after another") {
    Folder folder;
    Host h;
    REQUIRE(h.start(open_unix(folder / "socket")).empty());
    h.receiver.room = 100;
    CHECK(h.write("nobody hears this") == 17);
    std::string expected;
    for (int i = 0; i < 3; ++i) {
        const Fd client = connect_to(folder / "socket");
        REQUIRE(h.reaches(client.get(), "."));
        const std::string text = "hello " + std::to_string(i);
        send(client, text);
        expected += text;
        CHECK(h.gets(expected));
        h.write("!");
        CHECK(within_seconds(5, [&] { return read_some(client.get(), 1) == "!"; }));
    }
    h.stream.stop();
    CHECK_FALSE(std::filesystem::exists(folder / "socket"));
}

TEST_CASE("a second client waits until the first has left") {
    Folder folder;
    Host h;
    REQUIRE(h.start(open_unix(folder / "socket")).empty());
    h.receiver.room = 100;
    Fd first = connect_to(folder / "socket");
    send(first, "one");
    REQUIRE(h.gets("one"));
    const Fd second = connect_to(folder / "socket");
    send(second, "two");
    ::usleep(50'000);
    CHECK(h.gets("one"));
    first.reset();
    CHECK(h.gets("onetwo"));
}

TEST_CASE("input waits for room in the device, and none of it is lost") {
    Folder folder;
    Host h;
    REQUIRE(h.start(open_unix(folder / "socket")).empty());
    h.receiver.room = 0;
    std::string sent;
    for (int i = 0; i < 20000; ++i) sent += static_cast<char>('a' + i % 26);
    std::thread client([&] {
        const Fd fd = connect_to(folder / "socket");
        for (std::size_t at = 0; at < sent.size();) {
            const ssize_t n = ::write(fd.get(), sent.data() + at, sent.size() - at);
            if (n <= 0) return;
            at += static_cast<std::size_t>(n);
        }
    });
    // A few KiB are taken from the host, and no more as long as the device takes nothing.
    CHECK(within_seconds(5, [&] { return h.under_way() >= 4096; }));
    ::usleep(50'000);
    CHECK(h.under_way() < 6000);
    h.hand_back();
    h.stream.deliver();
    CHECK(h.receiver.got.empty());
    CHECK(within_seconds(20, [&] {
        h.hand_back();
        h.receiver.room = 100;
        h.stream.deliver();  // as room_changed() does
        return h.receiver.got.size() == sent.size();
    }));
    CHECK(h.receiver.got == sent);
    client.join();
}

TEST_CASE("a client that does not read stops the device for a while only") {
    Folder folder;
    Host h;
    REQUIRE(h.start(open_unix(folder / "socket")).empty());
    Fd client = connect_to(folder / "socket");
    REQUIRE(h.reaches(client.get(), "."));
    const std::string block(1 << 14, 'x');
    bool refused = false;
    CHECK(within_seconds(10, [&] {
        if (h.write(block) < block.size()) refused = true;
        return h.all_warnings().find("does not read") != std::string::npos;
    }));
    CHECK(refused);
    CHECK(h.write(block) == block.size());
    // When it reads again, it gets output again.
    std::string got;
    CHECK(within_seconds(10, [&] {
        h.write("fresh");
        got += read_some(client.get(), 1);
        char buffer[4096];
        const ssize_t n = ::recv(client.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        if (n > 0) got.append(buffer, static_cast<std::size_t>(n));
        return got.find("fresh") != std::string::npos;
    }));
}

TEST_CASE("a stream that takes everything lets no slow client through to the device") {
    Folder folder;
    Host h;
    REQUIRE(h.start(open_unix(folder / "socket"), {.takes_all = true}).empty());
    Fd client = connect_to(folder / "socket");
    REQUIRE(h.reaches(client.get(), "."));
    std::string sent, got;
    for (int i = 0; i < 3'000'000; ++i) sent += static_cast<char>('a' + i % 26);
    std::thread reader([&] {
        while (got.find('!') == std::string::npos) {
            char buffer[100'000];
            const ssize_t n = ::read(client.get(), buffer, sizeof buffer);
            if (n <= 0) return;
            got.append(buffer, static_cast<std::size_t>(n));
            ::usleep(1'000);
        }
    });
    bool all = true;
    for (std::size_t at = 0; at < sent.size(); at += 30'000) all = h.write(sent.substr(at, 30'000)) == 30'000 && all;
    h.write("!");
    reader.join();
    CHECK(all);
    CHECK(h.all_warnings().empty());
    CHECK(got.substr(got.find('a')) == sent + "!");
    // A client that has stopped reading costs the guest a moment, and then the client its output.
    const std::string block(1 << 14, 'x');
    CHECK(within_seconds(10, [&] {
        CHECK(h.write(block) == block.size());
        return h.all_warnings().find("does not read") != std::string::npos;
    }));
    // One that leaves costs nothing.
    client.reset();
    for (int i = 0; i < 100; ++i) CHECK(h.write(block) == block.size());
}

TEST_CASE("recorded input reaches the device without anybody at the other end") {
    Folder folder;
    Host h;
    REQUIRE(h.start(open_file(folder / "log", false)).empty());
    h.receiver.room = 3;
    h.stream.input(reinterpret_cast<const u8*>("recorded"), 8);
    CHECK(h.receiver.got == "rec");
    h.receiver.room = 100;
    h.stream.deliver();
    CHECK(h.receiver.got == "recorded");
}

TEST_CASE("waiting for a client holds the start up until it is there") {
    Folder folder;
    Host h;
    std::string got;
    std::thread client([&] {
        ::usleep(50'000);
        const Fd fd = connect_to(folder / "socket");
        got = read_some(fd.get(), 5);
    });
    const std::string error = h.start(open_unix(folder / "socket"), {.wait = true});
    h.write("first");
    client.join();
    CHECK(error.empty());
    CHECK(got == "first");
}

TEST_CASE("a socket that nobody listens on is replaced; others stay") {
    Folder folder;
    {
        Opened left = open_unix(folder / "socket");
        REQUIRE(left.error.empty());
        CHECK(open_unix(folder / "socket").error.find("in use") != std::string::npos);
        left.remove.clear();
    }
    Host h;
    CHECK(h.start(open_unix(folder / "socket")).empty());
    std::ofstream(folder / "file") << "mine";
    CHECK_FALSE(open_unix(folder / "file").error.empty());
    CHECK(contents(folder / "file") == "mine");
    CHECK(open_unix(std::string(200, 'x')).error.find("107") != std::string::npos);
}

TEST_CASE("what was written reaches a client even if the end comes at once, and nothing stays open") {
    Folder folder;
    const std::size_t before = open_descriptors();
    for (int i = 0; i < 20; ++i) {
        Host h;
        REQUIRE(h.start(open_unix(folder / "socket")).empty());
        const Fd client = connect_to(folder / "socket");
        REQUIRE(h.reaches(client.get(), "."));
        h.write("last words");
        h.stream.stop();
        std::string got;
        char c;
        while (::read(client.get(), &c, 1) == 1) got += c;
        CHECK(got.find("last words") != std::string::npos);
    }
    CHECK(open_descriptors() == before);
}

TEST_CASE("stopping is quick") {
    Folder folder;
    Host pty, socket;
    REQUIRE(pty.start(open_pty("")).empty());
    REQUIRE(socket.start(open_unix(folder / "socket")).empty());
    const auto begin = std::chrono::steady_clock::now();
    pty.stream.stop();
    socket.stream.stop();
    socket.stream.stop();
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(500));
}
