// Stand-ins: what sits on the other end of a device's links, plugs, buses and offers when there is no board. Each is
// deterministic, can act by itself (a byte arrives, a register is read), and can take over the state of its like on
// another board.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backplane/testkit/board.hpp"
#include "backplane/testkit/random.hpp"

namespace backplane::testkit {

// Where a stand-in stands, seen from the device.
enum class Role {
    kLink,   // the device links to it
    kHost,   // the bus that the device plugs into
    kChild,  // what is plugged into a bus of the device
    kUser,   // somebody who uses what the device offers
};

class Standin {
  public:
    // `board` is the device's, `number` tells several of a kind apart.
    Standin(Board& board, u32 number) : board_(board), number_(number), random_(number + 1) {}
    virtual ~Standin() = default;
    Standin(const Standin&) = delete;
    Standin& operator=(const Standin&) = delete;

    // What the device gets: the interface of the stand-in's id. A user has none.
    virtual bp_interface interface() { return {nullptr, nullptr}; }
    // What the device gives: the child's table to a host, the host's to a child, the offer to a user.
    virtual void meet(bp_interface device) { device_ = device; }
    virtual void start() {}    // between attaching and the device's start()
    virtual void started() {}  // the device is started
    virtual void act(Random&) {}
    virtual void sweep() {}                                // asks the device for all that it tells
    virtual void memory_written(u64 address, u64 size) {}  // somebody else wrote to the board's memory
    virtual void settle() {}                               // completes what the device has asked for
    virtual void copy(const Standin& other) { random_ = other.random_; }

  protected:
    template <class Table>
    const Table& table() const {
        return *static_cast<const Table*>(device_.table);
    }
    bool met() const { return device_.table != nullptr; }
    __attribute__((format(printf, 2, 3))) void note(const char* format, ...) const {
        if (!board_.observe) return;
        char text[256];
        va_list args;
        va_start(args, format);
        std::vsnprintf(text, sizeof text, format, args);
        va_end(args);
        board_.observe(text);
    }
    // The device breaks the rules of the interface.
    void blame(const std::string& text) const {
        if (board_.on_fault) board_.on_fault(text);
        throw std::logic_error(text);
    }
    static u64 checksum(const void* data, u64 size) {
        u64 sum = 0xcbf29ce484222325ull;
        for (u64 i = 0; i < size; ++i) sum = (sum ^ static_cast<const u8*>(data)[i]) * 0x100000001b3ull;
        return sum;
    }
    // Handed-over tables: the size field tells the version, and no function may be missing.
    template <class Table>
    void check_table(const Table* t, const char* what, std::size_t may_be_null = ~std::size_t{0}) const {
        if (!t || t->size != sizeof(Table)) return blame(std::string("it hands over ") + what + " of a wrong size");
        for (std::size_t at = sizeof(void*); at + sizeof(void*) <= sizeof(Table); at += sizeof(void*)) {
            const void* function = nullptr;
            std::memcpy(&function, reinterpret_cast<const u8*>(t) + at, sizeof function);
            if (!function && at != may_be_null) blame(std::string("it hands over ") + what + " that lacks a function");
        }
    }

    Board& board_;
    u32 number_;
    Random random_;  // for answers: its state goes along with copy()
    bp_interface device_{nullptr, nullptr};
};

struct StandinKind {
    std::string_view id;  // link: of the interface; host: of the host's; child: of the child's; user: of the offer
    Role role;
    std::unique_ptr<Standin> (*make)(Board& board, u32 number);
    // For children: addresses on the bus, tried in this order until the device takes one.
    std::vector<std::string> addresses = {};
};

template <class T>
std::unique_ptr<Standin> make_standin(Board& board, u32 number) {
    return std::make_unique<T>(board, number);
}

}  // namespace backplane::testkit
