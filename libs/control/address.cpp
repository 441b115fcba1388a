#include "control/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace backplane::control {

namespace {

template <class T>
const T& as(const Address& a) {
    return *reinterpret_cast<const T*>(&a.storage);
}

bool parse_unix(std::string_view path, Address& a, std::string& error) {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof un.sun_path || path.find('\0') != std::string_view::npos) {
        error = "the path of a socket must have 1 to " + std::to_string(sizeof un.sun_path - 1) + " bytes: \"" +
                std::string(path) + "\"";
        return false;
    }
    std::memcpy(un.sun_path, path.data(), path.size());
    a.kind = Address::Kind::kUnix;
    std::memcpy(&a.storage, &un, sizeof un);
    a.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return true;
}

bool parse_tcp(std::string_view rest, Address& a, std::string& error) {
    error = "expected tcp:ADDRESS:PORT, such as tcp:127.0.0.1:4444, found tcp:" + std::string(rest);
    const auto colon = rest.rfind(':');
    if (colon == std::string_view::npos) return false;
    std::string host(rest.substr(0, colon));
    const std::string_view digits = rest.substr(colon + 1);
    u16 port = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (code != std::errc{} || end != digits.data() + digits.size()) return false;
    a.kind = Address::Kind::kTcp;
    if (host == "localhost") host = "127.0.0.1";
    sockaddr_in v4{};
    v4.sin_family = AF_INET, v4.sin_port = htons(port);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6, v6.sin6_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
        std::memcpy(&a.storage, &v4, sizeof v4);
        a.size = sizeof v4;
    } else if (host.size() > 2 && host.front() == '[' && host.back() == ']' &&
               ::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6.sin6_addr) == 1) {
        std::memcpy(&a.storage, &v6, sizeof v6);
        a.size = sizeof v6;
    } else {
        return false;
    }
    error.clear();
    return true;
}

}  // namespace

std::string Address::path() const { return kind == Kind::kUnix ? as<sockaddr_un>(*this).sun_path : ""; }

std::string Address::text() const {
    if (kind == Kind::kUnix) return "unix:" + path();
    char host[INET6_ADDRSTRLEN] = "";
    if (family() == AF_INET) {
        ::inet_ntop(AF_INET, &as<sockaddr_in>(*this).sin_addr, host, sizeof host);
        return std::string("tcp:") + host + ":" + std::to_string(ntohs(as<sockaddr_in>(*this).sin_port));
    }
    ::inet_ntop(AF_INET6, &as<sockaddr_in6>(*this).sin6_addr, host, sizeof host);
    return std::string("tcp:[") + host + "]:" + std::to_string(ntohs(as<sockaddr_in6>(*this).sin6_port));
}

bool Address::loopback() const {
    if (kind == Kind::kUnix) return true;
    if (family() == AF_INET) return ntohl(as<sockaddr_in>(*this).sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&as<sockaddr_in6>(*this).sin6_addr);
}

bool parse_address(std::string_view text, Address& address, std::string& error) {
    address = Address{};
    if (text.starts_with("unix:")) return parse_unix(text.substr(5), address, error);
    if (text.starts_with("tcp:")) return parse_tcp(text.substr(4), address, error);
    error = "expected unix:PATH or tcp:ADDRESS:PORT, found \"" + std::string(text) + "\"";
    return false;
}

}  // namespace backplane::control
