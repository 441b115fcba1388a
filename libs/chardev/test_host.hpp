// A device's side of a character stream for tests: takes input under a lock like the machine's, with limited room.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include "backplane/abi/backend.h"
#include "backplane/testkit/bench.hpp"
#include "chardev/open.hpp"

namespace backplane::chardev {

struct Receiver {
    std::string got;
    unsigned room = 16;
    static constexpr bp_char_receiver kTable{
        sizeof(bp_char_receiver), [](void* i) -> uint32_t { return static_cast<Receiver*>(i)->room; },
        [](void* i, const uint8_t* data, uint32_t count) {
            static_cast<Receiver*>(i)->got.append(reinterpret_cast<const char*>(data), count);
            static_cast<Receiver*>(i)->room -= count;
        },
        nullptr};
};

inline bool within_seconds(double seconds, const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

// A folder that is removed at the end.
struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "backplane-chardev-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    std::string operator/(const std::string& name) const { return (path / name).string(); }
};

inline std::string contents(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

// Without assertions, for use in any thread; -1 on failure.
inline Fd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
}

// Reads exactly `count` bytes, or what came within five seconds.
inline std::string read_some(int fd, std::size_t count) {
    std::string out;
    while (out.size() < count) {
        pollfd p{fd, POLLIN, 0};
        if (::poll(&p, 1, 5000) <= 0) break;
        char buffer[4096];
        const ssize_t n = ::read(fd, buffer, std::min(sizeof buffer, count - out.size()));
        if (n <= 0) break;
        out.append(buffer, static_cast<std::size_t>(n));
    }
    return out;
}

// Echoes through the device: what comes in at `fd` goes back out.
template <class Device>
void check_echo(testkit::Bench<Device>& device, int fd) {
    const bp_interface i = device.offer(BP_CHARDEV_ID);
    const auto& stream = *static_cast<const bp_chardev*>(i.table);
    Receiver receiver;
    stream.connect(i.instance, &Receiver::kTable, &receiver);
    REQUIRE(::write(fd, "echo", 4) == 4);
    REQUIRE(within_seconds(5, [&] {
        device.run_posted();
        return receiver.got == "echo";
    }));
    CHECK(stream.write(i.instance, reinterpret_cast<const u8*>("back"), 4) == 4);
    CHECK(read_some(fd, 4) == "back");
}

}  // namespace backplane::chardev
