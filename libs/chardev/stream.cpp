#include "chardev/stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace backplane::chardev {

namespace {
constexpr int kGlance = 50;  // ms between looks at what cannot be waited for
}

std::string Stream::start(Opened end, Callbacks callbacks, bool wait) {
    end_ = std::move(end);
    callbacks_ = std::move(callbacks);
    if (!end_.error.empty()) return end_.error;
    if (end_.kind == Opened::Kind::kNone) return "";
    wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return std::string("no event descriptor is to be had: ") + std::strerror(errno);
    if (wait)
        if (const std::string error = wait_for_client(); !error.empty()) return error;
    hung_up_ = end_.kind == Opened::Kind::kPty;
    connected_ = connected();
    progress_ = Clock::now();
    running_ = true;
    // Signals are the program's own business.
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return "";
}

std::string Stream::wait_for_client() {
    while (!end_.fd) {
        pollfd p{end_.listener.get(), POLLIN, 0};
        // A signal to end the program ends the wait too.
        if (::poll(&p, 1, -1) < 0) return std::string("waiting for a client: ") + std::strerror(errno);
        accept();
    }
    return "";
}

void Stream::stop() {
    if (running_) {
        {
            std::lock_guard g(mutex_);
            ended_ = true;
            progress_ = Clock::now();
        }
        wake();
        thread_.join();
        running_ = false;
    }
    if (!end_.remove.empty()) ::unlink(end_.remove.c_str());
    end_ = Opened{};
    wake_.reset();
}

void Stream::wake() {
    const u64 one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
}

// --- The device's side -----------------------------------------------------------------------------------------------

void Stream::connect(const bp_char_receiver* receiver, void* instance) {
    {
        std::lock_guard g(mutex_);
        receiver_ = receiver, instance_ = instance;
    }
    if (running_) wake();
}

u32 Stream::write(const u8* data, u32 count) {
    if (!running_) return count;
    std::unique_lock lock(mutex_);
    if (!connected_ || stuck_ || broken_) return count;  // nobody is there
    u32 room = static_cast<u32>(kMostOutput - std::min(output_.size(), kMostOutput));
    if (room < count) {
        if (end_.kind == Opened::Kind::kFile) {
            // A file gets everything: the guest waits for the disk.
            drained_.wait(lock, [&] { return output_.empty() || broken_ || ended_; });
            room = broken_ || ended_ ? 0 : kMostOutput;
            if (broken_) return count;
        } else if (room == 0 && Clock::now() - progress_ > kPatience) {
            stuck_ = true;
            output_.clear();
            lock.unlock();
            callbacks_.warn("the other end does not read: output is dropped until it does");
            return count;
        }
    }
    const u32 taken = std::min(room, count);
    const bool idle = output_.empty();
    if (idle) progress_ = Clock::now();
    output_.insert(output_.end(), data, data + taken);
    lock.unlock();
    if (idle && taken) wake();
    return taken;
}

void Stream::deliver() {
    bool freed = false;
    {
        std::lock_guard g(mutex_);
        requested_ = false;
    }
    while (receiver_) {
        const u32 room = receiver_->room(instance_);
        std::vector<u8> chunk;
        {
            std::lock_guard g(mutex_);
            const std::size_t n = std::min<std::size_t>(room, input_.size());
            if (n == 0) break;
            freed = freed || input_.size() >= kMostInput;
            const auto end = input_.begin() + static_cast<std::ptrdiff_t>(n);
            chunk.assign(input_.begin(), end);
            input_.erase(input_.begin(), end);
        }
        receiver_->receive(instance_, chunk.data(), static_cast<u32>(chunk.size()));
    }
    if (freed && running_) wake();
}

// --- The thread ------------------------------------------------------------------------------------------------------

void Stream::run() {
    while (step()) {}
}

bool Stream::step() {
    bool wants_output, wants_input, full, ended;
    {
        std::lock_guard g(mutex_);
        connected_ = connected();
        ended = ended_;
        if (ended && (output_.empty() || !connected_ || Clock::now() - progress_ > kPatience)) {
            drained_.notify_all();
            return false;
        }
        wants_output = (!output_.empty() || stuck_) && connected_;
        wants_input = receiver_ && input_.size() < kMostInput;
        full = receiver_ && !wants_input;
    }
    // A pseudo-terminal without anybody on it is always "ready": it is looked at now and then instead.
    const bool pty = end_.kind == Opened::Kind::kPty;
    pollfd p[3] = {{wake_.get(), POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}};
    if (end_.fd && !(pty && hung_up_)) {
        p[1].fd = end_.fd.get();
        if (wants_output) p[1].events |= POLLOUT;
        if (wants_input && end_.kind != Opened::Kind::kFile) p[1].events |= POLLIN;
        // Where nobody takes input, a client that goes away is noticed by this.
        if (end_.kind == Opened::Kind::kUnix && !full) p[1].events |= POLLRDHUP;
    } else if (end_.listener && !ended) {
        p[2] = {end_.listener.get(), POLLIN, 0};
    }
    const int limit = ended || (pty && hung_up_) ? kGlance : -1;
    if (::poll(p, 3, limit) < 0 && errno != EINTR) return false;
    if (p[0].revents) {
        u64 count;
        [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &count, sizeof count);
    }
    if (pty && hung_up_) {
        pollfd q{end_.fd.get(), 0, 0};
        ::poll(&q, 1, 0);
        hung_up_ = q.revents & POLLHUP;
        return true;
    }
    if (p[2].revents) accept();
    if (p[1].revents & POLLIN) read();
    if (end_.fd && (p[1].revents & POLLOUT)) write_out();
    const short gone = p[1].revents & (POLLHUP | POLLERR | POLLNVAL | POLLRDHUP);
    if (end_.fd && gone && !(p[1].revents & POLLIN)) {
        // What the client sent before it left is still taken.
        if (full)
            ::poll(p, 1, kGlance);
        else
            disconnect();
    }
    return true;
}

void Stream::accept() {
    Fd client(::accept4(end_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) {
        ::poll(nullptr, 0, kGlance);  // out of descriptors, perhaps
        return;
    }
    end_.fd = std::move(client);
    std::lock_guard g(mutex_);
    progress_ = Clock::now();
}

void Stream::read() {
    u8 buffer[1024];
    const ssize_t n = ::read(end_.fd.get(), buffer, sizeof buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return disconnect();
    bool request = false;
    {
        std::lock_guard g(mutex_);
        input_.insert(input_.end(), buffer, buffer + n);
        request = !std::exchange(requested_, true);
    }
    if (request) callbacks_.request_delivery();
}

void Stream::write_out() {
    std::vector<u8> chunk;
    {
        std::lock_guard g(mutex_);
        chunk.assign(output_.begin(), output_.end());
    }
    if (chunk.empty()) {
        // It reads again.
        std::lock_guard g(mutex_);
        stuck_ = false;
        return;
    }
    const bool socket = end_.kind == Opened::Kind::kUnix;
    const ssize_t n = socket ? ::send(end_.fd.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL)
                             : ::write(end_.fd.get(), chunk.data(), chunk.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0 && end_.kind != Opened::Kind::kFile) return disconnect();
    std::string trouble;
    {
        std::lock_guard g(mutex_);
        stuck_ = false;
        progress_ = Clock::now();
        if (n < 0) {
            broken_ = true;
            output_.clear();
            trouble = std::string("output is lost from here on: ") + std::strerror(errno);
        } else {
            output_.erase(output_.begin(),
                          output_.begin() + std::min<std::ptrdiff_t>(n, static_cast<std::ptrdiff_t>(output_.size())));
        }
        if (output_.empty()) drained_.notify_all();
    }
    if (!trouble.empty()) callbacks_.warn(trouble);
}

// The next client gets only what is written from then on.
void Stream::disconnect() {
    if (end_.kind == Opened::Kind::kPty)
        hung_up_ = true;
    else
        end_.fd.reset();
    std::lock_guard g(mutex_);
    output_.clear();
    stuck_ = false;
    connected_ = false;
}

}  // namespace backplane::chardev
