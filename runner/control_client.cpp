#include "runner/control_client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernel/config/error.hpp"
#include "libs/control/address.hpp"

namespace backplane::runner {

using nlohmann::json;

namespace {

constexpr int kGreetingMs = 10'000;

std::string hint(int error) {
    if (error == ENOENT || error == ECONNREFUSED) return "; is the machine running, with --control?";
    if (error == EACCES || error == EPERM) return "; only the user who runs the machine may";
    return "";
}

}  // namespace

ControlClient::ControlClient(const std::string& text) : address_(text) {
    control::Address address;
    std::string error;
    if (!control::parse_address(text, address, error)) throw kernel::Error("--control " + text + ": " + error);
    const auto fail = [&](const std::string& why) { throw kernel::Error(address_ + ": " + why, kernel::kExitFailure); };
    fd_ = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct Close {
        int* fd;
        ~Close() {
            if (fd) ::close(*fd);
        }
    } close{&fd_};
    if (fd_ < 0 || ::connect(fd_, address.sockaddr_ptr(), address.size) != 0)
        fail("cannot connect: " + std::string(std::strerror(errno)) + hint(errno));
    const auto greeting = line(kGreetingMs);
    if (!greeting) fail("nobody greets there");
    if (greeting->contains("error")) fail("refused: " + greeting->at("error").value("desc", ""));
    if (!greeting->contains("QMP")) fail("this is no control socket");
    call("qmp_capabilities");
    close.fd = nullptr;
}

ControlClient::~ControlClient() { ::close(fd_); }

void ControlClient::send(const json& request) {
    const std::string text = request.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    for (std::size_t sent = 0; sent < text.size();) {
        const ssize_t n = ::send(fd_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        // What was said before the connection broke may still be there to read.
        if (n < 0) return;
        sent += static_cast<std::size_t>(n);
    }
}

std::optional<json> ControlClient::line(int ms) {
    for (;;) {
        if (const auto end = pending_.find('\n'); end != std::string::npos) {
            json value = json::parse(pending_.substr(0, end), nullptr, false);
            pending_.erase(0, end + 1);
            if (!value.is_object()) throw kernel::Error(address_ + ": this is no control socket", kernel::kExitFailure);
            return value;
        }
        pollfd p{fd_, POLLIN, 0};
        const int ready = ::poll(&p, 1, ms);
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return std::nullopt;
        char buffer[64 << 10];
        const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return std::nullopt;
        pending_.append(buffer, static_cast<std::size_t>(n));
    }
}

json ControlClient::call(const std::string& command, const json& arguments) {
    send({{"execute", command}, {"arguments", arguments}});
    for (;;) {
        auto answer = line();
        if (!answer) throw kernel::Error(address_ + ": the connection ended before the answer", kernel::kExitFailure);
        if (answer->contains("return")) return (*answer)["return"];
        if (const auto e = answer->find("error"); e != answer->end())
            throw CommandFailed(e->value("class", ""), e->value("desc", ""));
        if (answer->contains("event")) events_.push_back(std::move(*answer));
    }
}

std::optional<json> ControlClient::event() {
    while (events_.empty()) {
        auto next = line();
        if (!next) return std::nullopt;
        if (next->contains("event")) events_.push_back(std::move(*next));
    }
    json first = std::move(events_.front());
    events_.pop_front();
    return first;
}

}  // namespace backplane::runner
