#include "model.hpp"

#include <pthread.h>

#include <algorithm>
#include <chrono>

#include "control/caller.hpp"

namespace backplane {

namespace {
constexpr std::size_t kRoom = 4096;  // typed bytes that may wait
constexpr auto kGlance = std::chrono::milliseconds(20);
}  // namespace

void MonitorControl::describe(Schema<MonitorControl>& s) {
    s.doc("The readline monitor: commands on the machine by lines of text");
    s.property("address", &MonitorControl::address_,
               {.doc = "unix:PATH, tcp:127.0.0.1:PORT, pty or stdio; empty: the link `chardev`", .def = ""});
    s.property("connect", &MonitorControl::connect_,
               {.doc = "connect to a socket that somebody else listens on", .def = "false"});
    s.property("prompt", &MonitorControl::prompt_, {.doc = "what programs wait for", .def = "(qemu) "});
    s.link("chardev", &MonitorControl::chardev_, BP_CHARDEV_ID, "the stream, if there is no address", true);
}

bp_status MonitorControl::start() {
    const bp_control_api* api = slot().control();
    if (!api) return fail(BP_ERR_UNSUPPORTED, "the program that runs this machine takes no commands");
    // An address wins over the link.
    streamed_ = address_.empty();
    if (streamed_ && !chardev_)
        return fail(BP_ERR_INVALID, "`address` or the link `chardev` has to say where the monitor is");
    const control::Caller caller(api, slot().self());
    const auto call = [caller](const std::string& command, const nlohmann::json& arguments) {
        return caller.call(command, arguments);
    };
    // What only the program's own monitor knows (screen, type, devices ...).
    hmp_ = std::make_unique<monitor::Hmp>(call, [caller](const std::string& line) {
        return caller.call("human-monitor-command", {{"command-line", line}}).get<std::string>();
    });
    editor_ = std::make_unique<monitor::LineEditor>(
        prompt_, monitor::LineEditor::Hooks{[this](const std::string& text) { show(text); },
                                            [this](const std::string& line) {
                                                std::string out;
                                                for (const char c : hmp_->run(line)) {
                                                    if (c == '\n') out += '\r';
                                                    out += c;
                                                }
                                                show(out);
                                                editor_->prompt();
                                            },
                                            [this](const std::string& line) { return hmp_->complete(line); }});
    thread_ = chardev::start_thread([this] { loop(); });
    if (streamed_) {
        stream_.start(slot(), {[this](std::string_view bytes) { typed(bytes); },
                               [this] {
                                   const std::lock_guard g(mutex_);
                                   return kRoom - std::min(kRoom, typed_.size());
                               }});
        return greet(), BP_OK;
    }
    const std::string error = peer_.start(address_, connect_,
                                          {[this] { greet(); },
                                           [this](std::string_view bytes) { typed(bytes); },
                                           {},
                                           [this](const std::string& text) { log_warn("%s", text.c_str()); }});
    if (!error.empty()) return fail(BP_ERR_IO, "%s", error.c_str());
    if (peer_.where() != address_) log_warn("the monitor is at %s", peer_.where().c_str());
    return BP_OK;
}

void MonitorControl::connect() {
    if (streamed_) stream_.connect(chardev_.operator->(), chardev_.instance());
}

// The thread waits for no command for ever: the machine answers all of them when it ends, which it has by now.
void MonitorControl::stop() {
    {
        const std::lock_guard g(mutex_);
        ended_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    peer_.stop();
    stream_.stop();
}

void MonitorControl::typed(std::string_view bytes) {
    {
        const std::lock_guard g(mutex_);
        typed_ += bytes;
    }
    wake_.notify_all();
}

void MonitorControl::greet() {
    {
        const std::lock_guard g(mutex_);
        greeting_ = true;
        typed_.clear();
    }
    wake_.notify_all();
}

void MonitorControl::show(const std::string& text) { streamed_ ? stream_.send(text) : peer_.send(text); }

void MonitorControl::loop() {
    ::pthread_setname_np(::pthread_self(), "monitor");
    std::unique_lock lock(mutex_);
    while (!ended_) {
        const auto something = [this] { return ended_ || greeting_ || !typed_.empty(); };
        if (streamed_ && stream_.unsent() > 0) {
            stream_.send("");
            wake_.wait_for(lock, kGlance, something);
        } else {
            wake_.wait(lock, something);
        }
        if (ended_) return;
        const bool greeting = std::exchange(greeting_, false);
        const std::string bytes = std::exchange(typed_, {});
        lock.unlock();
        if (greeting) {
            show("Backplane monitor - type 'help' for a list of commands\r\n");
            editor_->prompt();
        }
        editor_->feed(bytes);
        lock.lock();
        if (streamed_ && !bytes.empty()) stream_.room_changed();
    }
}

}  // namespace backplane
