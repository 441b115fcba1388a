// Where a control socket is: unix:PATH or tcp:HOST:PORT. Shared by the socket's two ends.
#pragma once

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "backplane/types.hpp"

namespace backplane::control {

struct Address {
    enum class Kind { kUnix, kTcp };
    Kind kind = Kind::kUnix;
    sockaddr_storage storage{};  // sockaddr_un, sockaddr_in or sockaddr_in6
    socklen_t size = 0;

    int family() const { return storage.ss_family; }
    const sockaddr* sockaddr_ptr() const { return reinterpret_cast<const sockaddr*>(&storage); }
    std::string path() const;  // of a UNIX socket
    std::string text() const;  // as it was written: "unix:/run/vm", "tcp:127.0.0.1:4444", "tcp:[::1]:4444"
    bool loopback() const;
};

// Reads "unix:PATH", "tcp:ADDRESS:PORT", "tcp:[IPv6]:PORT" or "tcp:localhost:PORT". No name is looked up. On failure
// returns false and says in `error` what was expected.
bool parse_address(std::string_view text, Address& address, std::string& error);

}  // namespace backplane::control
