#include "model.hpp"

#include "control/caller.hpp"

namespace backplane {

void QtestControl::describe(Schema<QtestControl>& s) {
    s.doc("Lets another program drive the devices by the qtest protocol");
    s.property("address", &QtestControl::address_,
               {.doc = "unix:PATH, tcp:127.0.0.1:PORT, pty or stdio", .required = true});
    s.property("connect", &QtestControl::connect_,
               {.doc = "connect to a socket that the other program listens on", .def = "false"});
}

bp_status QtestControl::start() {
    const bp_control_api* api = slot().control();
    if (!api) return fail(BP_ERR_UNSUPPORTED, "the program that runs this machine takes no commands");
    const control::Caller caller(api, slot().self());
    protocol_ =
        std::make_unique<qtest::Protocol>([caller](const std::string& command, const nlohmann::json& arguments) {
            return caller.call(command, arguments);
        });
    const std::string error = peer_.start(
        address_, connect_,
        {[this] { line_.clear(); }, [this](std::string_view bytes) { take(bytes); }, [this] { protocol_->forget(); },
         [this](const std::string& text) { log_warn("%s", text.c_str()); }});
    if (!error.empty()) return fail(BP_ERR_IO, "%s", error.c_str());
    if (peer_.where() != address_) log_warn("qtest is served at %s", peer_.where().c_str());
    // In the machine's thread, before the command that caused it is answered.
    api->listen(
        slot().self(),
        [](void* peer, bp_str json) {
            const std::string text = qtest::Protocol::interrupt(to_view(json));
            if (!text.empty()) static_cast<control::Peer*>(peer)->send(text + "\n");
        },
        &peer_);
    return BP_OK;
}

void QtestControl::stop() {
    if (const bp_control_api* api = slot().control()) api->listen(slot().self(), nullptr, nullptr);
    peer_.stop();
}

void QtestControl::take(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto end = bytes.find('\n');
        line_ += bytes.substr(0, end);
        if (end == std::string_view::npos) break;
        bytes.remove_prefix(end + 1);
        peer_.send(protocol_->answer(line_) + "\n");
        line_.clear();
    }
    if (line_.size() > kMostLine) {
        log_warn("a line without an end; the connection is closed");
        peer_.hang_up();
    }
}

}  // namespace backplane
