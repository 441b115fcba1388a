#include "runner/terminal.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "backplane/abi/backend.h"
#include "backplane/device.hpp"

namespace backplane::runner {

namespace {

constexpr u8 kEscape = 0x01;  // Ctrl-A
constexpr const char* kHelp =
    "\r\nCtrl-A h  this help\r\n"
    "Ctrl-A x  end the emulator (disks are flushed)\r\n"
    "Ctrl-A c  switch between the guest's serial port and the monitor\r\n"
    "Ctrl-A s  stop or continue the machine\r\n"
    "Ctrl-A b  send a break\r\n"
    "Ctrl-A Ctrl-A  send Ctrl-A\r\n";

// The process has one terminal: its original modes, for restore_terminal(), which a signal handler may call.
termios g_original{};
volatile std::sig_atomic_t g_raw = 0;
TerminalHandlers g_handlers;
std::mutex g_mutex;
std::atomic<bool> g_input_taken{false};  // the process has one keyboard: the first device that wants it gets it

void write_all(const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t n = ::write(STDOUT_FILENO, data, size);
        if (n < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN) {
                pollfd p{STDOUT_FILENO, POLLOUT, 0};
                ::poll(&p, 1, 100);
                continue;
            }
            return;
        }
        data += n, size -= static_cast<std::size_t>(n);
    }
}

void make_raw() {
    if (g_raw || !::isatty(STDIN_FILENO) || ::tcgetattr(STDIN_FILENO, &g_original) != 0) return;
    termios t = g_original;
    t.c_iflag &= ~static_cast<tcflag_t>(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | IEXTEN | ISIG);
    t.c_cflag = (t.c_cflag & ~static_cast<tcflag_t>(CSIZE | PARENB)) | CS8;
    t.c_cc[VMIN] = 1, t.c_cc[VTIME] = 0;
    if (::tcsetattr(STDIN_FILENO, TCSANOW, &t) == 0) g_raw = 1;
}

}  // namespace

void set_terminal_handlers(TerminalHandlers handlers) {
    std::lock_guard g(g_mutex);
    g_handlers = std::move(handlers);
}

void restore_terminal() {
    if (!g_raw) return;
    ::tcsetattr(STDIN_FILENO, TCSANOW, &g_original);
    g_raw = 0;
}

namespace {

struct Terminal final : Device<Terminal> {
    static constexpr std::string_view kType = "chardev.terminal";
    using Device::Device;

    bool input_ = true;
    const bp_char_receiver* receiver_ = nullptr;
    void* receiver_instance_ = nullptr;

    std::thread reader_;
    int stop_fd_ = -1;
    std::atomic<bool> ended_{false};
    std::atomic<std::size_t> under_way_{0};  // bytes typed, not yet taken by the device
    std::vector<u8> typed_;                  // thread only: of this read
    std::deque<u8> undelivered_;             // under the machine's lock; lost when a snapshot is restored

    bool escape_ = false, in_monitor_ = false;
    std::string line_;

    static void describe(Schema<Terminal>& s) {
        s.doc("The terminal that the program was started in. Ctrl-A h lists the keys that it keeps for itself.");
        s.property("input", &Terminal::input_,
                   {.doc = "take input from the terminal; the first device that wants it gets it", .def = "true"});
        s.offer(BP_CHARDEV_ID, &kChardev);
    }

    bp_status start() {
        if (!input_ || g_input_taken.exchange(true)) {
            input_ = false;
            return BP_OK;
        }
        stop_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (stop_fd_ < 0) return fail(BP_ERR_IO, "cannot watch the terminal");
        make_raw();
        reader_ = std::thread([this] { read_loop(); });
        return BP_OK;
    }
    void stop() {
        ended_ = true;
        if (stop_fd_ >= 0) {
            const u64 one = 1;
            [[maybe_unused]] const ssize_t n = ::write(stop_fd_, &one, sizeof one);
        }
        if (reader_.joinable()) reader_.join();
        if (stop_fd_ >= 0) ::close(stop_fd_);
        stop_fd_ = -1;
        if (input_) {
            restore_terminal();
            g_input_taken = false;
        }
        input_ = false;
    }

    u32 write(const u8* data, u32 count) {
        if (!in_monitor_) write_all(reinterpret_cast<const char*>(data), count);
        return count;
    }
    void connect(const bp_char_receiver* receiver, void* instance) {
        receiver_ = receiver, receiver_instance_ = instance;
    }

    // What was typed, now or in a recorded session, arrives: one byte that says what it is, and the typed bytes.
    void input(const u8* data, std::size_t size) {
        if (size == 0) return;
        if (data[0] == kBreak) {
            if (receiver_ && receiver_->line_break) receiver_->line_break(receiver_instance_);
            return;
        }
        undelivered_.insert(undelivered_.end(), data + 1, data + size);
        deliver();
    }
    // Under the machine's lock: hands the device as much as it has room for.
    void deliver() {
        while (receiver_ && !undelivered_.empty()) {
            const u32 room = receiver_->room(receiver_instance_);
            if (room == 0) break;
            u8 chunk[64];
            u32 n = 0;
            while (n < room && n < sizeof chunk && !undelivered_.empty())
                chunk[n++] = undelivered_.front(), undelivered_.pop_front();
            receiver_->receive(receiver_instance_, chunk, n);
            // A recorded byte was never typed here.
            std::size_t before = under_way_;
            while (!under_way_.compare_exchange_weak(before, before - std::min<std::size_t>(before, n))) {}
        }
    }

  private:
    static constexpr std::size_t kMostUnderWay = 4096;  // more is left in the terminal's own buffer
    enum : u8 { kTyped = 0, kBreak = 1 };
    static constexpr u8 kBreakInput = kBreak;
    static const bp_chardev kChardev;

    void read_loop() {
        while (!ended_) {
            const bool full = under_way_ >= kMostUnderWay;
            pollfd p[2] = {{stop_fd_, POLLIN, 0}, {STDIN_FILENO, static_cast<short>(full ? 0 : POLLIN), 0}};
            if (::poll(p, 2, full ? 20 : -1) < 0 && errno != EINTR) return;
            if (ended_) return;
            if (p[1].revents == 0) continue;
            u8 buffer[256];
            const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
            if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            if (n <= 0) return;  // end of input: the guest goes on without
            for (ssize_t i = 0; i < n; ++i) take(buffer[i]);
            submit_typed();
        }
    }
    void submit_typed() {
        if (typed_.empty()) return;
        under_way_ += typed_.size();
        typed_.insert(typed_.begin(), kTyped);
        slot().input().submit(slot().self(), typed_.data(), typed_.size());
        typed_.clear();
    }
    void take(u8 byte) {
        if (escape_) {
            escape_ = false;
            command(byte);
        } else if (byte == kEscape) {
            escape_ = true;
        } else if (in_monitor_) {
            monitor(byte);
        } else {
            typed_.push_back(byte);
        }
    }
    void command(u8 byte) {
        if (byte != kEscape) submit_typed();  // what was typed before comes before
        TerminalHandlers handlers;
        {
            std::lock_guard g(g_mutex);
            handlers = g_handlers;
        }
        switch (byte) {
            case 'x':
            case 'X':
                if (handlers.quit) handlers.quit();
                break;
            case 'h':
            case 'H':
            case '?': write_all(kHelp, std::char_traits<char>::length(kHelp)); break;
            case 'c':
            case 'C':
                in_monitor_ = !in_monitor_;
                line_.clear();
                say(in_monitor_ ? "\r\n(backplane) " : "\r\n");
                break;
            case 's':
            case 'S':
                if (handlers.monitor) say("\r\n" + crlf(handlers.monitor("toggle")));
                break;
            case 'b':
            case 'B': slot().input().submit(slot().self(), &kBreakInput, 1); break;
            case kEscape: typed_.push_back(kEscape); break;
            default: break;
        }
    }
    void monitor(u8 byte) {
        if (byte == '\r' || byte == '\n') {
            say("\r\n");
            TerminalHandlers handlers;
            {
                std::lock_guard g(g_mutex);
                handlers = g_handlers;
            }
            if (handlers.monitor && !line_.empty()) say(crlf(handlers.monitor(line_)));
            line_.clear();
            say("(backplane) ");
        } else if (byte == 0x7f || byte == 0x08) {
            if (!line_.empty()) line_.pop_back(), say("\b \b");
        } else if (byte >= 0x20 && line_.size() < 1000) {
            line_.push_back(static_cast<char>(byte));
            say(std::string(1, static_cast<char>(byte)));
        }
    }
    static void say(const std::string& text) { write_all(text.data(), text.size()); }
    static std::string crlf(const std::string& text) {
        std::string out;
        for (char c : text) {
            if (c == '\n') out += '\r';
            out += c;
        }
        return out;
    }
};

const bp_chardev Terminal::kChardev{
    sizeof(bp_chardev),
    [](void* i, const u8* data, u32 count) { return static_cast<Terminal*>(i)->write(data, count); },
    [](void* i, const bp_char_receiver* r, void* instance) { static_cast<Terminal*>(i)->connect(r, instance); },
    [](void* i) { static_cast<Terminal*>(i)->deliver(); }};

}  // namespace

const bp_device_type* terminal_type() { return &DeviceType<Terminal>::value; }

}  // namespace backplane::runner
