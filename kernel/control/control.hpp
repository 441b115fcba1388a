// The commands that front ends run on a machine, and the events that they hear: the kernel's side of bp.control/1.
//
// A command is a name with declared arguments and a function. It runs in the machine's thread under the machine's lock,
// if it says so while the whole machine stands still; its caller may be any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/control/arguments.hpp"

namespace backplane::kernel {

class Control;

// The answer to a command that takes its time. Copies stand for the same answer; only the first call counts. Any
// thread.
class Reply {
  public:
    void ok(Json value) const;
    void fail(const CommandError& error) const;

  private:
    friend class Control;
    struct Request;
    Reply(Control* control, std::shared_ptr<Request> request) : control_(control), request_(std::move(request)) {}
    void finish(bool good, Json value) const;
    Control* control_;
    std::shared_ptr<Request> request_;
};

struct Command {
    enum class When {
        kSoon,        // while the machine goes on
        kStandstill,  // while all CPUs stand outside their engines and no request is under way on the host
        kAfter        // as kStandstill; answered once the machine has acted on what the command asked for
    };
    std::string name, help;
    std::vector<ArgumentSpec> arguments = {};
    When when = When::kSoon;
    // Returns the command's value or throws CommandError or Error. Otherwise:
    std::function<Json(const Arguments&)> run = {};
    // Begins the command, which answers later.
    std::function<void(const Arguments&, Reply)> begin = {};
};

class Control {
  public:
    using Work = std::function<void()>;
    using Later = std::function<void(Work)>;
    // How work gets into the machine's thread, and to a standstill. Both take it from any thread.
    Control(Later post, Later at_standstill) : post_(std::move(post)), at_standstill_(std::move(at_standstill)) {}
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;

    // Under the machine's lock, or before the machine runs. A command of the same name is replaced.
    void add(Command command);
    void add_event(std::string name, std::string help) { events_[std::move(name)] = std::move(help); }
    const std::map<std::string, Command, std::less<>>& commands() const { return commands_; }
    const std::map<std::string, std::string>& events() const { return events_; }

    // The machine runs: what has been asked for until now is begun. Before that commands wait.
    void begin();

    // Runs a command; `arguments` is the text of a JSON object or empty. done() gets the value, or {"class", "desc"},
    // exactly once: in the machine's thread, or before execute() returns if the machine has ended. Any thread.
    using Done = std::function<void(bool good, const std::string& json)>;
    void execute(std::string command, std::string arguments, Done done);
    // The same, and waits for the answer. Not from the machine's thread. Throws CommandError.
    Json call(const std::string& command, const Json& arguments = Json::object());

    // One listener an owner, called in the machine's thread with {"event", "data", "timestamp"}; an empty one ends it,
    // after which no call comes. Any thread, but not from within a listener.
    using Listener = std::function<void(const std::string& json)>;
    void listen(const void* owner, Listener listener);

    // The machine's thread, under its lock. Nothing is heard any more after the end.
    void emit(const std::string& event, const Json& data = Json::object());
    // Any thread.
    void emit_soon(std::string event, Json data = Json::object());

    // The machine has ended: commands that wait are answered, later ones refused. The machine's thread, or the last
    // one.
    void end(const std::string& event = {}, const Json& data = Json::object());

  private:
    friend class Reply;
    using Request = Reply::Request;
    void tell(const std::string& event, const Json& data);
    void start(const std::shared_ptr<Request>& request);
    void run(const std::shared_ptr<Request>& request, const Command& command);
    void answer(const std::shared_ptr<Request>& request);

    const Later post_, at_standstill_;
    std::map<std::string, Command, std::less<>> commands_;
    std::map<std::string, std::string> events_;
    std::mutex requests_mutex_;
    std::vector<std::shared_ptr<Request>> requests_;  // not answered yet
    bool begun_ = false, ended_ = false;
    std::mutex listeners_mutex_;
    std::map<const void*, Listener> listeners_;
};

}  // namespace backplane::kernel
