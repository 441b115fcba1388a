#include "chardev/open.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace backplane::chardev {

namespace {

std::string reason() { return std::strerror(errno); }

Opened failed(std::string text) {
    Opened o;
    o.error = std::move(text);
    return o;
}

std::string unix_address(const std::string& path, sockaddr_un& address) {
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return "path of a socket must have 1 to " + std::to_string(sizeof address.sun_path - 1) + " bytes: \"" + path +
               "\"";
    std::memcpy(address.sun_path, path.data(), path.size());
    return "";
}

// Removes a socket that a program left behind; one that is in use stays.
bool remove_stale(const sockaddr_un& address) {
    struct stat info {};
    if (::lstat(address.sun_path, &info) != 0) return true;
    if (!S_ISSOCK(info.st_mode)) return false;
    Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (probe && ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return false;
    if (errno != ECONNREFUSED) return false;
    return ::unlink(address.sun_path) == 0;
}

}  // namespace

void Fd::reset(int fd) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
}

// O_NONBLOCK: a named pipe without a reader is an error here, not a wait.
Opened open_file(const std::string& path, bool append) {
    Opened o;
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK | (append ? O_APPEND : O_TRUNC);
    o.fd.reset(::open(path.c_str(), flags, 0666));
    if (!o.fd)
        return failed(errno == ENXIO ? path + ": nobody reads from this pipe"
                                     : path + ": cannot be written: " + reason());
    o.kind = Opened::Kind::kFile;
    return o;
}

Opened open_pty(const std::string& link) {
    Opened o;
    o.fd.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
    char name[128];
    if (!o.fd || ::grantpt(o.fd.get()) != 0 || ::unlockpt(o.fd.get()) != 0 ||
        ::ptsname_r(o.fd.get(), name, sizeof name) != 0)
        return failed("no pseudo-terminal is to be had: " + reason());
    o.slave = name;
    // Raw, so that the line discipline neither echoes nor edits. Opening and closing it once also makes the master
    // report that nobody is at the other end.
    Fd slave(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios t{};
    if (!slave || ::tcgetattr(slave.get(), &t) != 0) return failed(o.slave + ": cannot be opened: " + reason());
    ::cfmakeraw(&t);
    ::tcsetattr(slave.get(), TCSANOW, &t);
    if (!link.empty()) {
        struct stat info {};
        if (::lstat(link.c_str(), &info) == 0 && (!S_ISLNK(info.st_mode) || ::unlink(link.c_str()) != 0))
            return failed(link + ": exists and is no symbolic link that can be replaced");
        if (::symlink(name, link.c_str()) != 0) return failed(link + ": cannot be made: " + reason());
        o.remove = link;
    }
    o.kind = Opened::Kind::kPty;
    return o;
}

Opened open_unix(const std::string& path) {
    sockaddr_un address{};
    if (std::string error = unix_address(path, address); !error.empty()) return failed(std::move(error));
    if (!remove_stale(address)) return failed(path + ": exists, and is no socket or in use");
    Opened o;
    o.listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!o.listener || ::bind(o.listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return failed(path + ": cannot be made: " + reason());
    o.remove = path;
    if (::listen(o.listener.get(), 1) != 0) {
        const std::string text = path + ": cannot be listened on: " + reason();
        ::unlink(path.c_str());
        return failed(text);
    }
    o.kind = Opened::Kind::kSocket;
    return o;
}

Opened connect_unix(const std::string& path) {
    sockaddr_un address{};
    if (std::string error = unix_address(path, address); !error.empty()) return failed(std::move(error));
    return connect_socket(reinterpret_cast<const sockaddr*>(&address), sizeof address, path);
}

Opened open_tcp(const sockaddr* address, socklen_t size, const std::string& name) {
    Opened o;
    o.listener.reset(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int one = 1;
    if (o.listener) ::setsockopt(o.listener.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (!o.listener || ::bind(o.listener.get(), address, size) != 0 || ::listen(o.listener.get(), 1) != 0)
        return failed(name + ": cannot be listened on: " + reason());
    o.kind = Opened::Kind::kSocket;
    return o;
}

// The other program has to be there: as long as it takes to connect nothing else goes on.
Opened connect_socket(const sockaddr* address, socklen_t size, const std::string& name) {
    Opened o;
    o.fd.reset(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!o.fd || ::connect(o.fd.get(), address, size) != 0) return failed(name + ": cannot connect: " + reason());
    ::fcntl(o.fd.get(), F_SETFL, O_NONBLOCK);
    o.kind = Opened::Kind::kSocket;
    return o;
}

}  // namespace backplane::chardev
