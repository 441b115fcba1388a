#include "control/caller.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>

#include "backplane/types.hpp"

namespace backplane::control {

namespace {

struct Waiting {
    std::mutex mutex;
    std::condition_variable ready;
    bool done = false, good = false;
    std::string json;
};

void finish(void* context, bp_status status, bp_str json) {
    const std::unique_ptr<std::shared_ptr<Waiting>> held(static_cast<std::shared_ptr<Waiting>*>(context));
    Waiting& w = **held;
    const std::lock_guard g(w.mutex);
    w.done = true, w.good = status == BP_OK;
    w.json.assign(json.data, json.size);
    w.ready.notify_one();
}

}  // namespace

Caller::Json Caller::call(const std::string& command, const Json& arguments) const {
    if (api_ == nullptr) throw CallError("GenericError", "the program that runs this machine takes no commands");
    const auto waiting = std::make_shared<Waiting>();
    const std::string text = arguments.dump(-1, ' ', false, Json::error_handler_t::replace);
    api_->execute(self_, to_bp(command), to_bp(text), finish, new std::shared_ptr<Waiting>(waiting));
    std::unique_lock lock(waiting->mutex);
    waiting->ready.wait(lock, [&] { return waiting->done; });
    Json value = Json::parse(waiting->json, nullptr, false);
    if (waiting->good) return value;
    throw CallError(value.is_object() ? value.value("class", "GenericError") : "GenericError",
                    value.is_object() ? value.value("desc", "it failed") : "it failed");
}

}  // namespace backplane::control
