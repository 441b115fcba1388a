// A control server and the thread that serves its clients, with bounded queues: those of a listening socket, or one
// that somebody else reads and writes for.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "backplane/types.hpp"
#include "chardev/thread.hpp"
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
        // What clients hear of an event. As execute(); may be empty.
        std::function<std::string(std::string json)> translate{};
        bool pretty = false;  // what clients get is spread over lines
    };
    // A client that is no connection: this process's own streams, a terminal, a character stream of the board. One that
    // does not read is not dropped, since nobody could come back: it gets no more events until it reads.
    struct Line {
        // In the server's thread. send("") tries again, where it has to be tried.
        std::function<void(std::string_view bytes)> send;
        std::function<std::size_t()> unsent;  // what the other end has not taken yet
        std::function<void()> room_changed;   // line_room() says more
    };

    ~Server() { stop(); }
    // Return why it cannot be, or "".
    std::string start(const control::Address& address, Hooks hooks);
    std::string start(Line line, Hooks hooks);
    // What happens on the line. Any thread.
    void line_opened();
    void line_said(std::string_view bytes);
    void line_closed();
    std::size_t line_room() const;  // bytes that are welcome
    // Hands an event to all clients. Any thread.
    void event(std::string json);
    // Sends what is left, for a second at most, and closes everything.
    void stop();
    const control::Address& address() const { return listener_.address(); }

  private:
    using Clock = std::chrono::steady_clock;
    struct Message {
        enum class Kind { kEvent, kAnswer, kOpened, kBytes, kClosed };  // the last three: of the line
        Kind kind = Kind::kEvent;
        std::string text;
        u64 client = 0;  // of an answer
        bool good = false;
    };
    // What other threads leave for the server's thread. Outlives the server as long as answers are due.
    struct Mailbox {
        std::mutex mutex;
        std::deque<Message> messages;
        bool ended = false;
        chardev::Wake wake;
        void put(Message message);
    };
    struct Client {
        u64 id = 0;
        Fd fd;                       // none:
        const Line* line = nullptr;  // the server's, in its place
        Session session;
        std::string input, output;
        std::size_t sent = 0;       // of `output`
        bool end_of_input = false;  // the client will send no more
        bool closing = false;       // until `deadline` at the latest
        bool shut = false;          // our side has said its last
        bool hung_up = false;       // both ways are closed
        bool dead = false;
        bool deaf = false;  // of a line: gets no events for now
        Clock::time_point deadline{};

        Client(u64 number, Fd socket, Session s) : id(number), fd(std::move(socket)), session(std::move(s)) {}
        std::size_t unsent() const { return output.size() - sent + (line ? line->unsent() : 0); }
        bool wants_input() const;
        bool can_work() const;
    };

    std::string begin(Hooks hooks);
    void run();
    void step();
    void take_messages();
    void take_event(std::string json);
    void tell(Client& client, const std::string& json);
    void take_line(const Message& message);
    void serve_line(Client& client);
    void accept();
    void serve(Client& client, short events);
    void read(Client& client);
    void work(Client& client);
    void write(Client& client);
    void begin_close(Client& client);
    void refuse(Fd fd, const std::string& why);

    Hooks hooks_;
    Listener listener_;
    Line line_;
    std::atomic<std::size_t> backlog_{0};  // bytes from the line that no session has taken
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
