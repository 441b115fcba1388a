#include "chardev/stream.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace backplane::chardev {

namespace {
constexpr int kGlance = 50;  // ms between looks at what cannot be waited for
}

std::string Stream::start(Opened end, Callbacks callbacks, Options options) {
    end_ = std::move(end);
    callbacks_ = std::move(callbacks);
    // A file gets everything in any case: the guest waits for the disk.
    takes_all_ = options.takes_all || end_.kind == Opened::Kind::kFile;
    if (!end_.error.empty()) return end_.error;
    if (end_.kind == Opened::Kind::kNone) return "";
    if (std::string error = wake_.open(); !error.empty()) return error;
    if (options.wait)
        if (const std::string error = wait_for_client(); !error.empty()) return error;
    hung_up_ = end_.kind == Opened::Kind::kPty;
    connected_ = connected();
    progress_ = Clock::now();
    running_ = true;
    thread_ = start_thread([this] { run(); });
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
        wake_.ring();
        thread_.join();
        running_ = false;
    }
    if (!end_.remove.empty()) ::unlink(end_.remove.c_str());
    end_ = Opened{};
    wake_.close();
}

// --- The device's side -----------------------------------------------------------------------------------------------

void Stream::connect(const bp_char_receiver* receiver, void* instance) {
    {
        std::lock_guard g(mutex_);
        receiver_ = receiver, instance_ = instance;
    }
    if (running_) wake_.ring();
}

u32 Stream::write(const u8* data, u32 count) {
    if (!running_) return count;
    std::unique_lock lock(mutex_);
    u32 taken = 0;
    while (taken < count) {
        if (output_.size() >= kMostOutput && takes_all_) wait_for_room(lock);
        if (!takes_output()) return count;  // nobody is there
        const u32 room = static_cast<u32>(kMostOutput - std::min(output_.size(), kMostOutput));
        if (room == 0) {
            if (Clock::now() - progress_ <= kPatience) break;
            give_up(lock);
            return count;
        }
        const u32 part = std::min(room, count - taken);
        const bool idle = output_.empty();
        if (idle) progress_ = Clock::now();
        output_.insert(output_.end(), data + taken, data + taken + part);
        taken += part;
        if (idle) wake_.ring();
    }
    return taken;
}

void Stream::wait_for_room(std::unique_lock<std::mutex>& lock) {
    const auto room = [&] { return output_.size() < kMostOutput || !takes_output(); };
    while (!room()) {
        if (end_.kind == Opened::Kind::kFile)
            drained_.wait(lock, room);
        else if (!drained_.wait_until(lock, progress_ + kPatience, room) && Clock::now() - progress_ > kPatience)
            return give_up(lock);
    }
}

void Stream::give_up(std::unique_lock<std::mutex>& lock) {
    stuck_ = true;
    output_.clear();
    lock.unlock();
    callbacks_.warn("the other end does not read: output is dropped until it does");
    lock.lock();
}

void Stream::input(const u8* data, std::size_t count) {
    undelivered_.insert(undelivered_.end(), data, data + count);
    deliver();
}

void Stream::deliver() {
    std::size_t delivered = 0;
    while (receiver_ && !undelivered_.empty()) {
        const std::size_t n = std::min<std::size_t>(receiver_->room(instance_), undelivered_.size());
        if (n == 0) break;
        const auto end = undelivered_.begin() + static_cast<std::ptrdiff_t>(n);
        // The device may ask for more while it takes this.
        const std::vector<u8> chunk(undelivered_.begin(), end);
        undelivered_.erase(undelivered_.begin(), end);
        receiver_->receive(instance_, chunk.data(), static_cast<u32>(n));
        delivered += n;
    }
    if (delivered == 0) return;
    bool freed = false;
    {
        std::lock_guard g(mutex_);
        freed = under_way_ >= kMostInput;
        // A recorded byte was never submitted.
        under_way_ -= std::min(under_way_, delivered);
    }
    if (freed && running_) wake_.ring();
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
        wants_input = receiver_ && under_way_ < kMostInput;
        full = receiver_ && !wants_input;
    }
    // A pseudo-terminal without anybody on it is always "ready": it is looked at now and then instead.
    const bool pty = end_.kind == Opened::Kind::kPty;
    pollfd p[3] = {{wake_.fd(), POLLIN, 0}, {-1, 0, 0}, {-1, 0, 0}};
    if (end_.fd && !(pty && hung_up_)) {
        p[1].fd = end_.fd.get();
        if (wants_output) p[1].events |= POLLOUT;
        if (wants_input && end_.kind != Opened::Kind::kFile) p[1].events |= POLLIN;
        // Where nobody takes input, a client that goes away is noticed by this.
        if (end_.kind == Opened::Kind::kSocket && !full) p[1].events |= POLLRDHUP;
    } else if (end_.listener && !ended) {
        p[2] = {end_.listener.get(), POLLIN, 0};
    }
    const int limit = ended || (pty && hung_up_) ? kGlance : -1;
    if (::poll(p, 3, limit) < 0 && errno != EINTR) return false;
    if (p[0].revents) wake_.heard();
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
    {
        std::lock_guard g(mutex_);
        under_way_ += static_cast<std::size_t>(n);
    }
    callbacks_.submit(buffer, static_cast<std::size_t>(n));
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
    const bool socket = end_.kind == Opened::Kind::kSocket;
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
        drained_.notify_all();
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
    drained_.notify_all();
}

}  // namespace backplane::chardev
