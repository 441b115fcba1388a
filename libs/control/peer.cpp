#include "control/peer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "chardev/open.hpp"

namespace backplane::control {

namespace {
constexpr auto kPatience = std::chrono::seconds(1);
constexpr int kGlance = 50;  // ms
constexpr auto kMoment = std::chrono::milliseconds(kGlance);
std::string reason() { return std::strerror(errno); }
}  // namespace

std::string Peer::start(const std::string& where, bool connect, Hooks hooks) {
    hooks_ = std::move(hooks);
    if (std::string error = open(where, connect); !error.empty()) return error;
    if (std::string error = wake_.open(); !error.empty()) return error;
    thread_ = chardev::start_thread([this] { run(); });
    return "";
}

std::string Peer::open(const std::string& where, bool connect) {
    where_ = where;
    if (where == "stdio") {
        in_.reset(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)), out_.reset(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
        stdio_ = client_ = true;
        return in_ && out_ ? "" : "standard input and output: " + reason();
    }
    if (where == "pty") {
        chardev::Opened end = chardev::open_pty("");
        in_ = std::move(end.fd), where_ = end.slave, pty_ = true;
        return end.error;
    }
    Address address;
    std::string error;
    if (!parse_address(where, address, error)) return error + "; pty and stdio are possible, too";
    kind_ = address.kind;
    if (!connect) {
        error = listener_.open(address);
        where_ = listener_.address().text();
        return error;
    }
    in_.reset(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!in_ || ::connect(in_.get(), address.sockaddr_ptr(), address.size) != 0)
        return where + ": cannot connect: " + reason();
    client_ = true;
    return "";
}

void Peer::send(std::string_view bytes) {
    if (bytes.empty()) return;
    {
        const std::lock_guard g(mutex_);
        if (!client_ || output_.size() - sent_ > kMostUnsent) return;
        output_ += bytes;
    }
    wake_.ring();
}

std::size_t Peer::unsent() {
    const std::lock_guard g(mutex_);
    return output_.size() - sent_;
}

void Peer::hang_up() {
    const std::lock_guard g(mutex_);
    hanging_up_ = true;
}

void Peer::stop() {
    if (thread_.joinable()) {
        {
            const std::lock_guard g(mutex_);
            stopping_ = true;
        }
        wake_.ring();
        thread_.join();
    }
    listener_.close();
    in_.reset(), out_.reset();
}

void Peer::run() {
    ::pthread_setname_np(::pthread_self(), "control-peer");
    Clock::time_point deadline = Clock::time_point::max();
    if (client_ && hooks_.opened) hooks_.opened();
    for (;;) {
        bool stopping = false, unsent = false, hanging_up = false, client = false;
        {
            const std::lock_guard g(mutex_);
            stopping = stopping_, unsent = sent_ < output_.size(), hanging_up = hanging_up_, client = client_;
        }
        if (hanging_up && !unsent) drop();
        if (stopping && deadline == Clock::time_point::max()) deadline = Clock::now() + kPatience;
        // What was written takes a moment to get to the other side of a pseudo-terminal.
        const bool left = unsent || (stopping && client && pty_ && (Clock::now() < written_ + kMoment || unread() > 0));
        if (stopping && (!left || out() < 0 || Clock::now() > deadline)) return;
        const bool wanted = !stopping && (!hooks_.ready || hooks_.ready());
        // What is ready and not wanted would be so at once again: only the end of a connection is.
        pollfd fds[] = {{wake_.fd(), POLLIN, 0},
                        {in_ || stopping ? -1 : listener_.fd(), POLLIN, 0},
                        {wanted || pty_ ? in_.get() : -1, static_cast<short>(wanted ? POLLIN : 0), 0},
                        {unsent ? out() : -1, POLLOUT, 0}};
        const bool alone = pty_ && !client;
        if (::poll(fds, 4, stopping || alone ? kGlance : -1) < 0 && errno != EINTR) ::poll(nullptr, 0, kGlance);
        if (fds[0].revents) wake_.heard();
        if (fds[3].revents) write();
        const short in = fds[2].revents;
        if (pty_) {
            // The other side is known to be open or not by this alone. Nobody there: there is nothing to wait for but
            // time.
            const bool there = !(in & POLLHUP) || (in & POLLIN);
            if (there && alone && !stopping) come();
            if (!there && !alone) drop();
            if (!there) ::poll(fds, 1, kGlance);
        }
        if (in & (POLLIN | (pty_ ? 0 : POLLHUP | POLLERR))) read();
        if (fds[1].revents) accept();
    }
}

// A client is there.
void Peer::come() {
    if (pty_) forget_unread();
    {
        const std::lock_guard g(mutex_);
        client_ = true, hanging_up_ = false;
        output_.clear(), sent_ = 0;
    }
    if (hooks_.opened) hooks_.opened();
}

void Peer::accept() {
    Fd fd(::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) {
        if (errno == EMFILE || errno == ENFILE) ::poll(nullptr, 0, kGlance);
        return;
    }
    if (const std::string why = refuse_peer(fd.get(), kind_, ::getuid()); !why.empty()) {
        hooks_.warn("a connection is refused: " + why);
        return;
    }
    in_ = std::move(fd);
    come();
}

void Peer::drop() {
    {
        const std::lock_guard g(mutex_);
        if (!client_ && (!in_ || pty_)) return;
        client_ = hanging_up_ = false;
        output_.clear(), sent_ = 0;
    }
    if (pty_)
        forget_unread();
    else
        in_.reset(), out_.reset();
    if (hooks_.closed) hooks_.closed();
}

// A pseudo-terminal keeps what was written to it for whoever opens it next, and drops it when we close our side.
int Peer::unread() {
    const Fd slave(::open(where_.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    int count = 0;
    return slave && ::ioctl(slave.get(), FIONREAD, &count) == 0 ? count : 0;
}

void Peer::forget_unread() {
    const Fd slave(::open(where_.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    if (slave) ::tcflush(slave.get(), TCIFLUSH);
}

void Peer::read() {
    char buffer[64 << 10];
    const ssize_t n = ::read(in_.get(), buffer, sizeof buffer);
    if (n > 0)
        hooks_.bytes({buffer, static_cast<std::size_t>(n)});
    else if (n == 0 && stdio_)
        in_.reset();  // a script has said all; it still hears the answers
    else if (n == 0 || (errno != EAGAIN && errno != EINTR && !pty_))
        drop();
}

void Peer::write() {
    std::string some;
    {
        const std::lock_guard g(mutex_);
        some = output_.substr(sent_, 256 << 10);
    }
    const int fd = out();
    const ssize_t n = stdio_ || pty_
                          ? ::write(fd, some.data(), stdio_ ? std::min<std::size_t>(some.size(), 512) : some.size())
                          : ::send(fd, some.data(), some.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) drop();
        return;
    }
    written_ = Clock::now();
    const std::lock_guard g(mutex_);
    sent_ += static_cast<std::size_t>(n);
    if (sent_ >= output_.size())
        output_.clear(), sent_ = 0;
    else if (sent_ > (1 << 20))
        output_.erase(0, sent_), sent_ = 0;
}

}  // namespace backplane::control
