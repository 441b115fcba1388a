#include "control/listener.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

namespace backplane {

namespace {

constexpr int kWaiting = 128;  // connections that were not accepted yet

std::string reason() { return std::strerror(errno); }

// Two programs that find the same stale socket must not both replace it: one does while it holds this.
Fd lock_folder(const std::string& path) {
    const auto slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
    Fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd) ::flock(fd.get(), LOCK_EX);
    return fd;
}

std::string remove_stale(const control::Address& address) {
    const std::string path = address.path();
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return "";
    if (!S_ISSOCK(info.st_mode)) return path + ": exists and is no socket";
    Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!probe) return path + ": " + reason();
    if (::connect(probe.get(), address.sockaddr_ptr(), address.size) == 0 || errno == EAGAIN)
        return path + ": another program listens there";
    if (errno != ECONNREFUSED) return path + ": " + reason();
    if (::unlink(path.c_str()) != 0) return path + ": cannot be replaced: " + reason();
    return "";
}

// An address and port as /proc/net/tcp writes them: words of the host's byte order, in capitals.
std::string table_text(const sockaddr_storage& address) {
    char text[48];
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        std::snprintf(text, sizeof text, "%08X:%04X", v4.sin_addr.s_addr, ntohs(v4.sin_port));
    } else {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        std::uint32_t w[4];
        std::memcpy(w, &v6.sin6_addr, sizeof w);
        std::snprintf(text, sizeof text, "%08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3], ntohs(v6.sin6_port));
    }
    return text;
}

}  // namespace

std::string Listener::open(const control::Address& address) {
    address_ = address;
    const std::string error = address.kind == control::Address::Kind::kUnix ? open_unix() : open_tcp();
    if (!error.empty()) close();
    return error;
}

std::string Listener::open_unix() {
    const std::string path = address_.path();
    const Fd lock = lock_folder(path);
    if (std::string error = remove_stale(address_); !error.empty()) return error;
    fd_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    // The file takes its mode from the socket, less the umask: at no time can another user connect.
    if (!fd_ || ::fchmod(fd_.get(), 0600) != 0 || ::bind(fd_.get(), address_.sockaddr_ptr(), address_.size) != 0)
        return path + ": cannot be made: " + reason();
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return path + ": " + reason();
    made_ = true, device_ = info.st_dev, inode_ = info.st_ino;
    if ((info.st_mode & 0777 & ~0600u) != 0) return path + ": cannot be made for its owner alone";
    if (::listen(fd_.get(), kWaiting) != 0) return path + ": cannot be listened on: " + reason();
    return "";
}

std::string Listener::open_tcp() {
    if (!address_.loopback())
        return address_.text() +
               ": only this machine's own addresses (127.0.0.1, [::1]) are allowed: whoever reaches "
               "the control socket rules the machine";
    fd_.reset(::socket(address_.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int one = 1;
    if (fd_) {
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (address_.family() == AF_INET6) ::setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    }
    if (!fd_ || ::bind(fd_.get(), address_.sockaddr_ptr(), address_.size) != 0 || ::listen(fd_.get(), kWaiting) != 0)
        return address_.text() + ": cannot be listened on: " + reason();
    address_.size = sizeof address_.storage;
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address_.storage), &address_.size);
    return "";
}

void Listener::close() {
    fd_.reset();
    struct stat info {};
    if (made_ && ::lstat(address_.path().c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_)
        ::unlink(address_.path().c_str());
    made_ = false;
}

long long tcp_user(const std::string& table, const std::string& local, const std::string& remote) {
    std::istringstream lines(table);
    std::string line;
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        std::string slot, own, other, state, queues, timer, retries;
        unsigned long user = 0, timeout = 0, inode = 0;
        if (!(words >> slot >> own >> other >> state >> queues >> timer >> retries >> user >> timeout >> inode))
            continue;
        if (own != local || other != remote) continue;
        // A socket that its process has closed already counts as root's: only a connected one (01) with an owner says
        // who is there.
        if (state == "01" && inode != 0) return static_cast<long long>(user);
    }
    return -1;
}

std::string refuse_peer(int fd, control::Address::Kind kind, uid_t owner) {
    uid_t user = 0;
    if (kind == control::Address::Kind::kUnix) {
        ucred peer{};
        socklen_t size = sizeof peer;
        if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
            return "the user at the other end is not known: " + reason();
        user = peer.uid;
    } else {
        sockaddr_storage own{}, other{};
        socklen_t own_size = sizeof own, other_size = sizeof other;
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) != 0 ||
            ::getpeername(fd, reinterpret_cast<sockaddr*>(&other), &other_size) != 0)
            return "the other end is gone";
        std::ifstream file(own.ss_family == AF_INET ? "/proc/self/net/tcp" : "/proc/self/net/tcp6");
        std::ostringstream table;
        table << file.rdbuf();
        long long found = tcp_user(table.str(), table_text(other), table_text(own));
        if (found < 0 && own.ss_family == AF_INET) {
            // The other end may be a socket of version 6 that speaks to an address of version 4.
            constexpr const char* kMapped = "0000000000000000FFFF0000";
            std::ifstream six("/proc/self/net/tcp6");
            table.str("");
            table << six.rdbuf();
            found = tcp_user(table.str(), kMapped + table_text(other), kMapped + table_text(own));
        }
        if (found < 0) return "the user at the other end is not known";
        user = static_cast<uid_t>(found);
    }
    if (user == owner || user == 0) return "";
    return "user " + std::to_string(user) + " may not use the control socket of user " + std::to_string(owner);
}

}  // namespace backplane
