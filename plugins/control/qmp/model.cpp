#include "model.hpp"

#include <memory>

#include "control/caller.hpp"
#include "monitor/qmp.hpp"

namespace backplane {

namespace {

// A command that QEMU has and the machine has not under that name: put together from the machine's own, in the server's
// thread.
bool compatible(const control::Caller& caller, const std::string& command, const std::string& arguments,
                const Server::Done& done) {
    const auto found = monitor::qmp_commands().find(command);
    if (found == monitor::qmp_commands().end()) return false;
    using nlohmann::json;
    const auto text = [](const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); };
    const auto call = [&caller](const std::string& name, const json& a) { return caller.call(name, a); };
    try {
        done(true, text(found->second.run(call, arguments.empty() ? json::object() : json::parse(arguments))));
    } catch (const control::CallError& e) {
        done(false, text({{"class", e.error_class()}, {"desc", e.what()}}));
    } catch (const std::exception& e) {
        const std::string why = e.what();
        done(false, text({{"class", why.starts_with("there is no drive") ? "DeviceNotFound" : "GenericError"},
                          {"desc", why}}));
    }
    return true;
}

}  // namespace

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
        if (compatible(control::Caller(api, self), command, arguments, done)) return;
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
