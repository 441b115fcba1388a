#include "control/peer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "chardev/open.hpp"

namespace backplane::control {

namespace {
constexpr auto kPatience = std::chrono::seconds(1);
constexpr int kGlance = 50;  // ms
std::string reason() { return std::strerror(errno); }
}  // namespace

std::string Peer::start(const std::string& where, bool connect, Hooks hooks) {
    hooks_ = std::move(hooks);
    if (std::string error = open(where, connect); !error.empty()) return error;
    wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return "no event descriptor is to be had: " + reason();
    // Signals are the program's own business.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
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
        in_ = std::move(end.fd), where_ = end.slave, pty_ = client_ = true;
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

void Peer::ring() {
    const u64 one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

void Peer::send(std::string_view bytes) {
    {
        const std::lock_guard g(mutex_);
        if (!client_ || output_.size() - sent_ > kMostUnsent) return;
        output_ += bytes;
    }
    ring();
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
        ring();
        thread_.join();
    }
    listener_.close();
    in_.reset(), out_.reset();
}

void Peer::run() {
    ::pthread_setname_np(::pthread_self(), "control-peer");
    using Clock = std::chrono::steady_clock;
    Clock::time_point deadline = Clock::time_point::max();
    if (client_ && hooks_.opened) hooks_.opened();
    for (;;) {
        bool stopping = false, unsent = false, hanging_up = false;
        {
            const std::lock_guard g(mutex_);
            stopping = stopping_, unsent = sent_ < output_.size(), hanging_up = hanging_up_;
        }
        if (hanging_up && !unsent) drop();
        if (stopping && deadline == Clock::time_point::max()) deadline = Clock::now() + kPatience;
        if (stopping && (!unsent || !in_ || Clock::now() > deadline)) return;
        const int out = stdio_ ? out_.get() : in_.get();
        pollfd fds[] = {{wake_.get(), POLLIN, 0},
                        {in_ || stopping ? -1 : listener_.fd(), POLLIN, 0},
                        {stopping ? -1 : in_.get(), POLLIN, 0},
                        {unsent ? out : -1, POLLOUT, 0}};
        if (::poll(fds, 4, stopping ? kGlance : -1) < 0 && errno != EINTR) ::poll(nullptr, 0, kGlance);
        if (fds[0].revents) {
            u64 count;
            [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &count, sizeof count);
        }
        if (fds[3].revents) write();
        // Nobody has the other side of a pseudo-terminal open: there is nothing to wait for but time.
        if (pty_ && (fds[2].revents & POLLHUP)) {
            if (!(fds[2].revents & POLLIN)) ::poll(fds, 1, kGlance);
        }
        if (fds[2].revents & (POLLIN | (pty_ ? 0 : POLLHUP | POLLERR))) read();
        if (fds[1].revents) accept();
    }
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
    {
        const std::lock_guard g(mutex_);
        client_ = true, hanging_up_ = false;
        output_.clear(), sent_ = 0;
    }
    if (hooks_.opened) hooks_.opened();
}

void Peer::drop() {
    {
        const std::lock_guard g(mutex_);
        if (!client_ && !in_) return;
        client_ = pty_ && in_, hanging_up_ = false;
        output_.clear(), sent_ = 0;
    }
    if (!pty_) in_.reset();
    if (hooks_.closed) hooks_.closed();
}

void Peer::read() {
    char buffer[64 << 10];
    const ssize_t n = ::read(in_.get(), buffer, sizeof buffer);
    if (n > 0)
        hooks_.bytes({buffer, static_cast<std::size_t>(n)});
    else if (n == 0 || (errno != EAGAIN && errno != EINTR && !pty_))
        drop();
}

void Peer::write() {
    std::string some;
    {
        const std::lock_guard g(mutex_);
        some = output_.substr(sent_, 256 << 10);
    }
    const int fd = stdio_ ? out_.get() : in_.get();
    const ssize_t n = stdio_ || pty_
                          ? ::write(fd, some.data(), stdio_ ? std::min<std::size_t>(some.size(), 512) : some.size())
                          : ::send(fd, some.data(), some.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) drop();
        return;
    }
    const std::lock_guard g(mutex_);
    sent_ += static_cast<std::size_t>(n);
    if (sent_ >= output_.size())
        output_.clear(), sent_ = 0;
    else if (sent_ > (1 << 20))
        output_.erase(0, sent_), sent_ = 0;
}

}  // namespace backplane::control
