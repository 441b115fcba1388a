#include "server.hpp"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace backplane {

namespace {
constexpr std::size_t kMostEvents = 10'000;  // in the mailbox
constexpr auto kPatience = std::chrono::seconds(1);
constexpr int kGlance = 50;                      // ms
constexpr std::size_t kPauseReading = 64 << 10;  // unsent bytes
}  // namespace

// --- Other threads ---------------------------------------------------------------------------------------------------

void Server::Mailbox::put(Message message) {
    {
        const std::lock_guard g(mutex);
        if (ended || (message.kind == Message::Kind::kEvent && messages.size() >= kMostEvents)) return;
        messages.push_back(std::move(message));
    }
    wake.ring();
}

std::string Server::start(const control::Address& address, Hooks hooks) {
    if (std::string error = listener_.open(address); !error.empty()) return error;
    return begin(std::move(hooks));
}

std::string Server::start(Line line, Hooks hooks) {
    line_ = std::move(line);
    return begin(std::move(hooks));
}

std::string Server::begin(Hooks hooks) {
    hooks_ = std::move(hooks);
    mail_ = std::make_shared<Mailbox>();
    if (std::string error = mail_->wake.open(); !error.empty()) return error;
    thread_ = chardev::start_thread([this] { run(); });
    return "";
}

void Server::event(std::string json) {
    if (mail_) mail_->put({Message::Kind::kEvent, std::move(json)});
}

void Server::line_opened() { mail_->put({Message::Kind::kOpened, ""}); }
void Server::line_closed() { mail_->put({Message::Kind::kClosed, ""}); }

void Server::line_said(std::string_view bytes) {
    backlog_ += bytes.size();
    mail_->put({Message::Kind::kBytes, std::string(bytes)});
}

std::size_t Server::line_room() const { return kPauseReading - std::min(kPauseReading, backlog_.load()); }

void Server::stop() {
    if (thread_.joinable()) {
        {
            const std::lock_guard g(mail_->mutex);
            mail_->ended = true;
        }
        mail_->wake.ring();
        thread_.join();
    }
    listener_.close();
}

// --- The server's thread ---------------------------------------------------------------------------------------------

bool Server::Client::wants_input() const {
    if (end_of_input) return false;
    if (closing)
        return true;  // to be thrown away, so that the other end gets our last words before it hears of the end
    return !session.busy() && input.empty() && unsent() < kPauseReading;
}

bool Server::Client::can_work() const {
    return !closing && !session.busy() && !input.empty() && unsent() < kPauseReading;
}

void Server::run() {
    ::pthread_setname_np(::pthread_self(), "control");
    while (!stopping_ || !clients_.empty()) step();
}

void Server::step() {
    std::vector<pollfd> fds;
    fds.push_back({mail_->wake.fd(), POLLIN, 0});
    fds.push_back({stopping_ || accept_later_ ? -1 : listener_.fd(), POLLIN, 0});
    int limit = accept_later_ ? kGlance : -1;
    const auto now = Clock::now();
    for (const auto& c : clients_) {
        const int events = (c->wants_input() ? POLLIN : 0) | (c->unsent() > 0 ? POLLOUT : 0);
        // A connection that is closed both ways is ready for ever.
        fds.push_back({c->hung_up && events == 0 ? -1 : c->fd.get(), static_cast<short>(events), 0});
        if (c->line && c->unsent() > 0) limit = limit < 0 ? kGlance : std::min(limit, kGlance);
        if (c->closing) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(c->deadline - now).count() + 1;
            const int ms = static_cast<int>(std::clamp<long long>(left, 0, 10'000));
            limit = limit < 0 ? ms : std::min(limit, ms);
        }
    }
    if (::poll(fds.data(), fds.size(), limit) < 0 && errno != EINTR) {
        ::poll(nullptr, 0, kGlance);
        return;
    }
    accept_later_ = false;
    if (fds[0].revents) mail_->wake.heard();
    take_messages();
    // A line's client may have come meanwhile, as the last.
    for (std::size_t i = 0; i < clients_.size(); ++i) serve(*clients_[i], i + 2 < fds.size() ? fds[i + 2].revents : 0);
    std::erase_if(clients_, [](const auto& c) { return c->dead; });
    if (!stopping_ && fds[1].revents) accept();
}

void Server::take_messages() {
    std::deque<Message> messages;
    bool ended = false;
    {
        const std::lock_guard g(mail_->mutex);
        messages.swap(mail_->messages);
        ended = mail_->ended;
    }
    for (const Message& m : messages) {
        if (m.kind == Message::Kind::kEvent) {
            take_event(m.text);
        } else if (m.kind == Message::Kind::kAnswer) {
            for (const auto& c : clients_)
                if (m.client == c->id) c->session.finish(m.good, m.text, c->output);
        } else {
            take_line(m);
        }
    }
    if (ended && !stopping_) {
        stopping_ = true;
        listener_.close();
        for (const auto& c : clients_) begin_close(*c);
    }
}

void Server::take_event(std::string json) {
    const auto hears = [](const auto& c) { return c->session.negotiated() && !c->closing; };
    if (std::none_of(clients_.begin(), clients_.end(), hears)) return;
    if (hooks_.translate) json = hooks_.translate(std::move(json));
    for (const auto& c : clients_)
        if (hears(c)) tell(*c, json);
}

void Server::tell(Client& c, const std::string& json) {
    const bool late = c.unsent() > kMostUnsent;
    if (late && c.line && !c.deaf)
        hooks_.warn("a client does not read what it is sent: it gets no more events until it does");
    if (late && !c.line) hooks_.warn("a client does not read what it is sent: it is dropped"), c.dead = true;
    c.deaf = late;
    if (!late) c.session.tell(json, c.output);
}

void Server::take_line(const Message& m) {
    Client* present = nullptr;
    for (const auto& c : clients_)
        if (c->line && !c->end_of_input) present = c.get();
    if (m.kind == Message::Kind::kBytes) {
        if (present)
            present->input += m.text;
        else
            backlog_ -= m.text.size();
        return;
    }
    // What it said before it went is still done.
    if (present) present->end_of_input = true;
    if (m.kind == Message::Kind::kClosed || stopping_) return;
    clients_.push_back(std::make_unique<Client>(next_id_++, Fd(), Session(false, hooks_.pretty)));
    clients_.back()->line = &line_;
    clients_.back()->output = Session::greeting(hooks_.pretty);
}

void Server::serve_line(Client& c) {
    if (c.output.empty() && c.unsent() > 0) line_.send("");
    do {
        work(c);
        write(c);
    } while (c.can_work());
    if (c.closing || (c.end_of_input && !c.session.busy() && c.input.empty())) c.dead = true;
}

void Server::accept() {
    Fd fd(::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
        accept_later_ = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
        return;
    }
    const auto kind = listener_.address().kind;
    if (const std::string why = refuse_peer(fd.get(), kind, ::geteuid()); !why.empty())
        return refuse(std::move(fd), why);
    if (clients_.size() >= kMostClients)
        return refuse(std::move(fd), "there are " + std::to_string(kMostClients) + " clients already");
    clients_.push_back(std::make_unique<Client>(next_id_++, std::move(fd),
                                                Session(kind == control::Address::Kind::kTcp, hooks_.pretty)));
    clients_.back()->output = Session::greeting(hooks_.pretty);
    write(*clients_.back());
}

// Others may knock as often as they like: the log says so now and then.
void Server::refuse(Fd fd, const std::string& why) {
    if (const auto now = Clock::now(); warned_ == Clock::time_point{} || now - warned_ > kPatience) {
        warned_ = now;
        hooks_.warn("a connection is refused: " + why);
    }
    const std::string text = Session::error(why);
    [[maybe_unused]] const ssize_t n = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(fd.get(), SHUT_WR);
}

void Server::begin_close(Client& c) {
    if (c.closing) return;
    c.closing = true;
    c.deadline = Clock::now() + kPatience;
    c.input.clear();
}

void Server::serve(Client& c, short events) {
    if (c.dead) return;
    if (c.line) return serve_line(c);
    if (events & (POLLERR | POLLNVAL)) {
        c.dead = true;
        return;
    }
    if (events & POLLHUP) c.hung_up = true;
    if (c.wants_input() && (events & (POLLIN | POLLHUP))) read(c);
    do {
        work(c);
        if (!c.dead && c.unsent() > 0) write(c);
        if (c.dead) return;
    } while (c.can_work());
    if (c.closing && c.unsent() == 0 && !c.shut) {
        ::shutdown(c.fd.get(), SHUT_WR);
        c.shut = true;
    }
    const bool told_all = c.unsent() == 0 && !c.session.busy() && c.input.empty();
    if (c.end_of_input && told_all) c.dead = true;
    if (c.closing && Clock::now() >= c.deadline) c.dead = true;
}

void Server::read(Client& c) {
    char buffer[64 << 10];
    const ssize_t n = ::recv(c.fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) {
        if (!c.closing) c.input.append(buffer, static_cast<std::size_t>(n));
    } else if (n == 0) {
        c.end_of_input = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        c.dead = true;
    }
}

void Server::work(Client& c) {
    while (!c.dead && c.can_work()) {
        std::string_view left = c.input;
        std::string answers;
        const auto call = c.session.take(left, answers);
        c.output += answers;
        const std::size_t taken = c.input.size() - left.size();
        c.input.erase(0, taken);
        if (c.line) backlog_ -= taken, line_.room_changed();
        if (call)
            hooks_.execute(call->command, call->arguments, [mail = mail_, id = c.id](bool good, std::string json) {
                mail->put({Message::Kind::kAnswer, std::move(json), id, good});
            });
        if (!c.session.over()) continue;
        if (!c.line) return begin_close(c);
        // A line cannot be closed from here: the conversation begins anew.
        c.session = Session(false, hooks_.pretty);
        c.output += Session::greeting(hooks_.pretty);
    }
}

void Server::write(Client& c) {
    if (c.line) {
        if (!c.end_of_input && !c.output.empty()) line_.send(c.output);
        return c.output.clear();
    }
    const ssize_t n = ::send(c.fd.get(), c.output.data() + c.sent, c.unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) c.dead = true;
        return;
    }
    c.sent += static_cast<std::size_t>(n);
    if (c.unsent() == 0)
        c.output.clear(), c.sent = 0;
    else if (c.sent > kPauseReading)
        c.output.erase(0, std::exchange(c.sent, 0));
}

}  // namespace backplane
