#include "model.hpp"

#include <memory>

namespace backplane {

void QmpControl::describe(Schema<QmpControl>& s) {
    s.doc("A control socket that speaks QMP, for the user who runs the machine");
    s.property("address", &QmpControl::address_,
               {.doc = "unix:PATH or tcp:127.0.0.1:PORT (port 0: one that is free)", .required = true});
}

bp_status QmpControl::start() {
    const bp_control_api* api = slot().control();
    if (!api) return fail(BP_ERR_UNSUPPORTED, "the program that runs this machine takes no commands");
    control::Address address;
    std::string error;
    if (!control::parse_address(address_, address, error)) return fail(BP_ERR_INVALID, "%s", error.c_str());
    void* self = slot().self();
    const auto execute = [api, self](const std::string& command, const std::string& arguments, Server::Done done) {
        api->execute(
            self, to_bp(command), to_bp(arguments),
            [](void* context, bp_status status, bp_str json) {
                const std::unique_ptr<Server::Done> answer(static_cast<Server::Done*>(context));
                (*answer)(status == BP_OK, std::string(to_view(json)));
            },
            new Server::Done(std::move(done)));
    };
    error = server_.start(address, {execute, [this](const std::string& text) { log_warn("%s", text.c_str()); }});
    if (!error.empty()) return fail(BP_ERR_IO, "%s", error.c_str());
    api->listen(
        self, [](void* s, bp_str json) { static_cast<Server*>(s)->event(std::string(to_view(json))); }, &server_);
    if (server_.address().text() != address.text())
        log_warn("the control socket is %s", server_.address().text().c_str());
    return BP_OK;
}

void QmpControl::stop() {
    if (const bp_control_api* api = slot().control()) api->listen(slot().self(), nullptr, nullptr);
    server_.stop();
}

}  // namespace backplane
