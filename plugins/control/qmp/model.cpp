#include "model.hpp"

#include <memory>

#include "control/caller.hpp"
#include "monitor/qmp.hpp"
#include "monitor/qmp_events.hpp"

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
               {.doc = "unix:PATH, tcp:127.0.0.1:PORT (port 0: one that is free), pty or stdio; empty: the link "
                       "`chardev`",
                .def = ""});
    s.property("connect", &QmpControl::connect_,
               {.doc = "connect to a socket that somebody else listens on", .def = "false"});
    s.property("pretty", &QmpControl::pretty_, {.doc = "spread what is sent over lines, for people", .def = "false"});
    s.link("chardev", &QmpControl::chardev_, BP_CHARDEV_ID, "the stream, if there is no address", true);
}

bp_status QmpControl::start() {
    const bp_control_api* api = slot().control();
    if (!api) return fail(BP_ERR_UNSUPPORTED, "the program that runs this machine takes no commands");
    // An address wins over the link.
    if (address_.empty() && !chardev_)
        return fail(BP_ERR_INVALID, "`address` or the link `chardev` has to say where the control socket is");
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
    const auto call = [caller = control::Caller(api, self)](const std::string& name, const nlohmann::json& a) {
        return caller.call(name, a);
    };
    const auto events = std::make_shared<monitor::QmpEvents>(call);
    const Server::Hooks hooks{execute, [this](const std::string& text) { log_warn("%s", text.c_str()); },
                              [events](std::string json) { return events->translate(std::move(json)); }, pretty_};
    const bool line = connect_ || address_ == "stdio" || address_ == "pty";
    const std::string error = address_.empty() ? serve_stream(hooks) : line ? serve_peer(hooks) : serve_socket(hooks);
    if (!error.empty()) return fail(BP_ERR_IO, "%s", error.c_str());
    api->listen(
        self, [](void* s, bp_str json) { static_cast<Server*>(s)->event(std::string(to_view(json))); }, &server_);
    return BP_OK;
}

std::string QmpControl::serve_socket(Server::Hooks hooks) {
    control::Address address;
    std::string error;
    if (!control::parse_address(address_, address, error)) return error + "; pty and stdio are possible, too";
    error = server_.start(address, std::move(hooks));
    if (error.empty() && server_.address().text() != address.text())
        log_warn("the control socket is %s", server_.address().text().c_str());
    return error;
}

std::string QmpControl::serve_peer(Server::Hooks hooks) {
    const auto warn = hooks.warn;
    const Server::Line line{[this](std::string_view bytes) { peer_.send(bytes); }, [this] { return peer_.unsent(); },
                            [this] { peer_.ring(); }};
    if (std::string error = server_.start(line, std::move(hooks)); !error.empty()) return error;
    std::string error =
        peer_.start(address_, connect_,
                    {[this] { server_.line_opened(); }, [this](std::string_view bytes) { server_.line_said(bytes); },
                     [this] { server_.line_closed(); }, warn, [this] { return server_.line_room() > 0; }});
    if (error.empty() && peer_.where() != address_) log_warn("the control socket is %s", peer_.where().c_str());
    return error;
}

std::string QmpControl::serve_stream(Server::Hooks hooks) {
    stream_.start(
        slot(), {[this](std::string_view bytes) { server_.line_said(bytes); }, [this] { return server_.line_room(); }});
    const Server::Line line{[this](std::string_view bytes) { stream_.send(bytes); },
                            [this] { return stream_.unsent(); }, [this] { stream_.room_changed(); }};
    std::string error = server_.start(line, std::move(hooks));
    if (error.empty()) server_.line_opened();
    return error;
}

void QmpControl::connect() {
    if (address_.empty()) stream_.connect(chardev_.operator->(), chardev_.instance());
}

// What the clients are still to hear goes from one to the next.
void QmpControl::stop() {
    if (const bp_control_api* api = slot().control()) api->listen(slot().self(), nullptr, nullptr);
    server_.stop();
    peer_.stop();
    stream_.stop();
}

}  // namespace backplane
