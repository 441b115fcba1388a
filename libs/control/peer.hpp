// The other end of a front end that speaks a protocol of lines, with one client at a time: a socket that listens or
// connects, a pseudo-terminal, or this process's own standard input and output. A thread of its own does all reading
// and writing.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "chardev/thread.hpp"
#include "control/address.hpp"
#include "control/listener.hpp"

namespace backplane::control {

class Peer {
  public:
    static constexpr std::size_t kMostUnsent = 256 << 20;  // bytes; a client that lets more lie unread is dropped

    // In the peer's thread; no lock is held.
    struct Hooks {
        std::function<void()> opened;                       // a client is there; may be empty
        std::function<void(std::string_view bytes)> bytes;  // it says something
        std::function<void()> closed;                       // it has gone; may be empty
        std::function<void(const std::string& text)> warn;
        std::function<bool()> ready{};  // more bytes are welcome; ring() when that has changed; may be empty
    };
    ~Peer() { stop(); }
    // `where`: unix:PATH, tcp:127.0.0.1:PORT, pty or stdio; `connect`: to a socket that somebody else listens on.
    // Returns why it cannot be, or "".
    std::string start(const std::string& where, bool connect, Hooks hooks);
    // Any thread. Without a client the bytes are dropped.
    void send(std::string_view bytes);
    // Bytes that the client has not taken. Any thread.
    std::size_t unsent();
    // Lets the client go when all is sent. In the peer's thread.
    void hang_up();
    // Hooks::ready may say something else now. Any thread.
    void ring() { wake_.ring(); }
    // Sends what is left, for a second at most. Not in the peer's thread.
    void stop();
    // Where it really is: with the port that was chosen, or the name of the pseudo-terminal's other side.
    const std::string& where() const { return where_; }

  private:
    using Clock = std::chrono::steady_clock;
    std::string open(const std::string& where, bool connect);
    void run();
    void accept();
    void read();
    void write();
    void drop();
    void come();
    int unread();
    void forget_unread();
    int out() const { return stdio_ ? out_.get() : in_.get(); }

    Hooks hooks_;
    std::string where_;
    Listener listener_;
    Address::Kind kind_ = Address::Kind::kUnix;
    bool pty_ = false, stdio_ = false;
    Fd in_, out_;  // out_: stdio alone
    chardev::Wake wake_;
    std::thread thread_;
    Clock::time_point written_{};  // the thread's own: when something was
    std::mutex mutex_;
    std::string output_;  // guarded, as the next three
    std::size_t sent_ = 0;
    bool client_ = false, hanging_up_ = false, stopping_ = false;
};

}  // namespace backplane::control
