#include "kernel/control/control.hpp"

#include <algorithm>
#include <chrono>
#include <future>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"

namespace backplane::kernel {

// Guarded by Control::requests_mutex_ but for what is set at its making.
struct Reply::Request {
    std::string command, arguments;
    Control::Done done;
    bool good = false;
    bool ready = false;     // `answer` is known
    bool answered = false;  // and was told, or is being told
    std::string answer;
};

namespace {

// Texts of a guest or of the host may hold bytes that are no UTF-8.
std::string text_of(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

// --- Answers ---------------------------------------------------------------------------------------------------------

void Reply::ok(Json value) const { finish(true, std::move(value)); }
void Reply::fail(const CommandError& error) const { finish(false, error.json()); }

void Reply::finish(bool good, Json value) const {
    {
        const std::lock_guard g(control_->requests_mutex_);
        if (request_->ready || request_->answered) return;
        request_->ready = true, request_->good = good;
        request_->answer = text_of(value);
    }
    control_->post_([control = control_, request = request_] { control->answer(request); });
}

void Control::answer(const std::shared_ptr<Request>& request) {
    {
        const std::lock_guard g(requests_mutex_);
        if (request->answered) return;
        request->answered = true;
        std::erase(requests_, request);
    }
    request->done(request->good, request->answer);
}

// --- Commands --------------------------------------------------------------------------------------------------------

void Control::add(Command command) {
    std::string name = command.name;
    commands_[std::move(name)] = std::move(command);
}

void Control::execute(std::string command, std::string arguments, Done done) {
    auto request = std::make_shared<Request>();
    request->command = std::move(command), request->arguments = std::move(arguments), request->done = std::move(done);
    bool refused = false, waits = false;
    {
        const std::lock_guard g(requests_mutex_);
        refused = ended_, waits = !begun_;
        if (!refused) requests_.push_back(request);
    }
    if (refused)
        request->done(false, text_of(CommandError("the machine has ended").json()));
    else if (!waits)
        post_([this, request] { start(request); });
}

void Control::begin() {
    std::vector<std::shared_ptr<Request>> waiting;
    {
        const std::lock_guard g(requests_mutex_);
        if (begun_) return;
        begun_ = true;
        waiting = requests_;
    }
    for (const auto& request : waiting) post_([this, request] { start(request); });
}

void Control::start(const std::shared_ptr<Request>& request) {
    {
        const std::lock_guard g(requests_mutex_);
        if (request->answered) return;
    }
    const auto found = commands_.find(request->command);
    if (found == commands_.end()) {
        std::vector<std::string> names;
        for (const auto& [name, command] : commands_) names.push_back(name);
        const std::string what = "there is no command " + quoted_name(request->command, names);
        request->answer = text_of(CommandError("CommandNotFound", what).json());
        answer(request);
    } else if (found->second.when == Command::When::kSoon) {
        run(request, found->second);
    } else {
        at_standstill_([this, request, command = &found->second] { run(request, *command); });
    }
}

void Control::run(const std::shared_ptr<Request>& request, const Command& command) {
    {
        const std::lock_guard g(requests_mutex_);
        if (request->answered) return;
    }
    const Reply reply(this, request);
    bool good = false;
    Json value;
    try {
        const Arguments arguments(command.arguments, request->arguments);
        if (command.begin) {
            command.begin(arguments, reply);
            return;
        }
        value = command.run(arguments);
        good = true;
    } catch (const CommandError& e) {
        value = e.json();
    } catch (const std::exception& e) {
        value = CommandError(e.what()).json();
    }
    if (good && command.when == Command::When::kAfter) {
        reply.ok(std::move(value));
        return;
    }
    {
        const std::lock_guard g(requests_mutex_);
        if (request->ready || request->answered) return;
        request->ready = true, request->good = good;
        request->answer = text_of(value);
    }
    answer(request);
}

Json Control::call(const std::string& command, const Json& arguments) {
    auto result = std::make_shared<std::promise<std::pair<bool, std::string>>>();
    auto future = result->get_future();
    execute(command, text_of(arguments), [result](bool good, const std::string& json) {
        result->set_value({good, json});
    });
    const auto [good, json] = future.get();
    Json value = Json::parse(json);
    if (!good) throw CommandError(value.at("class").get<std::string>(), value.at("desc").get<std::string>());
    return value;
}

// --- Events ----------------------------------------------------------------------------------------------------------

void Control::listen(const void* owner, Listener listener) {
    const std::lock_guard g(listeners_mutex_);
    if (listener)
        listeners_[owner] = std::move(listener);
    else
        listeners_.erase(owner);
}

void Control::emit(const std::string& event, const Json& data) {
    {
        const std::lock_guard g(requests_mutex_);
        if (ended_) return;
    }
    tell(event, data);
}

void Control::tell(const std::string& event, const Json& data) {
    const auto us =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    const std::string text = text_of({{"event", event},
                                      {"data", data},
                                      {"timestamp", {{"seconds", us / 1'000'000}, {"microseconds", us % 1'000'000}}}});
    const std::lock_guard g(listeners_mutex_);
    for (const auto& [owner, listener] : listeners_) listener(text);
}

void Control::emit_soon(std::string event, Json data) {
    post_([this, event = std::move(event), data = std::move(data)] { emit(event, data); });
}

void Control::end(const std::string& event, const Json& data) {
    std::vector<std::shared_ptr<Request>> carried_out, left;
    {
        const std::lock_guard g(requests_mutex_);
        if (ended_) return;
        ended_ = true;
        for (const auto& r : requests_) (r->ready ? carried_out : left).push_back(r);
        for (const auto& r : left) r->ready = true, r->answer = text_of(CommandError("the machine has ended").json());
    }
    // A command that was carried out says so before the machine says that it ends.
    for (const auto& r : carried_out) answer(r);
    if (!event.empty()) tell(event, data);
    for (const auto& r : left) answer(r);
}

}  // namespace backplane::kernel
