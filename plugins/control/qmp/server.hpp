// The sockets of a control server and the thread that serves them: one listener, several clients, bounded queues.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backplane/types.hpp"
#include "control/listener.hpp"
#include "session.hpp"

namespace backplane {

class Server {
  public:
    static constexpr std::size_t kMostClients = 16;
    static constexpr std::size_t kMostUnsent = 1 << 20;  // bytes of events that a client does not read

    // The answer to a command; any thread, also after the server has stopped.
    using Done = std::function<void(bool good, std::string json)>;
    struct Hooks {
        // Carries a command out. In the server's thread; no lock is held.
        std::function<void(const std::string& command, const std::string& arguments, Done done)> execute;
        std::function<void(const std::string& text)> warn;
    };

    ~Server() { stop(); }
    // Returns why it cannot be, or "".
    std::string start(const control::Address& address, Hooks hooks);
    // Hands an event to all clients. Any thread.
    void event(std::string json);
    // Sends what is left, for a second at most, and closes everything.
    void stop();
    const control::Address& address() const { return listener_.address(); }

  private:
    using Clock = std::chrono::steady_clock;
    struct Message {
        u64 client = 0;  // 0: an event, for all
        bool good = false;
        std::string json;
    };
    // What other threads leave for the server's thread. Outlives the server as long as answers are due.
    struct Mailbox {
        std::mutex mutex;
        std::deque<Message> messages;
        bool ended = false;
        Fd wake;
        void put(Message message);
        void ring();
    };
    struct Client {
        u64 id = 0;
        Fd fd;
        Session session;
        std::string input, output;
        std::size_t sent = 0;       // of `output`
        bool end_of_input = false;  // the client will send no more
        bool closing = false;       // until `deadline` at the latest
        bool shut = false;          // our side has said its last
        bool hung_up = false;       // both ways are closed
        bool dead = false;
        Clock::time_point deadline{};

        Client(u64 number, Fd socket, bool strict) : id(number), fd(std::move(socket)), session(strict) {}
        std::size_t unsent() const { return output.size() - sent; }
        bool wants_input() const;
        bool can_work() const;
    };

    void run();
    void step();
    void take_messages();
    void accept();
    void serve(Client& client, short events);
    void read(Client& client);
    void work(Client& client);
    void write(Client& client);
    void begin_close(Client& client);
    void refuse(Fd fd, const std::string& why);

    Hooks hooks_;
    Listener listener_;
    std::shared_ptr<Mailbox> mail_;
    std::thread thread_;
    // The thread's own:
    std::vector<std::unique_ptr<Client>> clients_;
    u64 next_id_ = 1;
    bool stopping_ = false;
    bool accept_later_ = false;   // the host is out of descriptors
    Clock::time_point warned_{};  // of a connection that was refused
};

}  // namespace backplane
