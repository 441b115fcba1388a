// Host ends that a character stream can have.
#pragma once

#include <sys/socket.h>

#include <string>

namespace backplane::chardev {

// A file descriptor with an owner.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    ~Fd() { reset(); }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    void reset(int fd = -1);
    int release() {
        const int fd = fd_;
        fd_ = -1;
        return fd;
    }

  private:
    int fd_ = -1;
};

// What open_*() made; `error` is empty on success.
struct Opened {
    enum class Kind { kNone, kFile, kPty, kSocket };
    Kind kind = Kind::kNone;
    Fd fd;               // file, or master of the pseudo-terminal
    Fd listener;         // socket
    std::string slave;   // name of the pseudo-terminal's slave
    std::string remove;  // path to remove at the end: the socket or the link to the slave
    std::string error;
};

Opened open_file(const std::string& path, bool append);
// `link`: a symbolic link to the slave to make; may be empty. A link is replaced, anything else is not.
Opened open_pty(const std::string& link);
// A socket that nobody listens on any more is replaced.
Opened open_unix(const std::string& path);
Opened connect_unix(const std::string& path);
// `name` stands for the address in error texts.
Opened open_tcp(const sockaddr* address, socklen_t size, const std::string& name);
Opened connect_socket(const sockaddr* address, socklen_t size, const std::string& name);

}  // namespace backplane::chardev
