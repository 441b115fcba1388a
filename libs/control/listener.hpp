// The listening end of a control socket, and who may connect to it.
#pragma once

#include <sys/types.h>

#include <string>

#include "chardev/open.hpp"
#include "control/address.hpp"

namespace backplane {

using chardev::Fd;

// A socket that listens. A UNIX socket is made for its owner alone, and removed at the end if it is still ours.
class Listener {
  public:
    Listener() = default;
    ~Listener() { close(); }
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // Returns why it cannot be, or "". A UNIX socket that nobody listens on any more is replaced; any other file and a
    // socket in use are not.
    std::string open(const control::Address& address);
    void close();
    int fd() const { return fd_.get(); }
    const control::Address& address() const { return address_; }  // with the port that was chosen for port 0

  private:
    std::string open_unix();
    std::string open_tcp();
    Fd fd_;
    control::Address address_;
    bool made_ = false;  // the file in the file system is ours:
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

// Why the peer of a connection may not use it, or "". Only processes of the user `owner` and of root may.
std::string refuse_peer(int fd, control::Address::Kind kind, uid_t owner);

// The same for TCP, from the text of /proc/net/tcp: the user of the connected socket whose own end is `local` and whose
// other end is `remote`, both as that file writes them. -1: there is none.
long long tcp_user(const std::string& table, const std::string& local, const std::string& remote);

}  // namespace backplane
