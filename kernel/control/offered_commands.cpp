// Commands that devices offer (bp.commands/1), handed through without being understood.
#include <utility>

#include "backplane/abi/commands.h"
#include "kernel/config/convert.hpp"
#include "kernel/control/commands.hpp"
#include "kernel/control/state_field.hpp"
#include "kernel/machine/instance.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {

bp_str to_bp(std::string_view text) { return {text.data(), text.size()}; }

struct Offered {
    Instance* device = nullptr;
    const bp_commands* table = nullptr;
    void* instance = nullptr;
};

Offered offered_by(Instance& d) {
    if (!d.type->offers_interface(BP_COMMANDS_ID)) return {};
    const bp_interface i = d.type->abi->offer(d.object, to_bp(BP_COMMANDS_ID), {"", 0});
    return {&d, static_cast<const bp_commands*>(i.table), i.instance};
}

// What a device says of its commands, in the form of the ABI. A list that is no such thing is the plugin's mistake.
Json list_of(const Offered& o) {
    const bp_str text = o.table->list(o.instance);
    const Json list = text.data ? Json::parse(text.data, text.data + text.size, nullptr, false) : Json();
    const auto mistake = [&] {
        return CommandError("the plugin " + o.device->type->plugin_id + " gives no proper list of its commands");
    };
    if (!list.is_array()) throw mistake();
    for (const Json& c : list) {
        if (!c.is_object() || !c.contains("name") || !c["name"].is_string()) throw mistake();
        if (!c.contains("arguments")) continue;
        if (!c["arguments"].is_array()) throw mistake();
        for (const Json& a : c["arguments"])
            if (!a.is_object() || !a.contains("name") || !a["name"].is_string()) throw mistake();
    }
    return list;
}

bool flag(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_boolean() && found->get<bool>();
}
std::string text(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<ArgumentSpec> specs_of(const Json& command) {
    using Type = ArgumentSpec::Type;
    std::vector<ArgumentSpec> specs;
    if (!command.contains("arguments")) return specs;
    for (const Json& a : command["arguments"]) {
        const std::string type = text(a, "type");
        specs.push_back({text(a, "name"),
                         type == "string"   ? Type::kText
                         : type == "number" ? Type::kNumber
                         : type == "bool"   ? Type::kBool
                                            : Type::kAny,
                         !flag(a, "required"), text(a, "help")});
    }
    return specs;
}

// As query-commands describes the kernel's own.
Json described(const Json& command) {
    Json arguments = Json::array();
    for (const ArgumentSpec& a : specs_of(command))
        arguments.push_back({{"name", a.name}, {"type", a.type_name()}, {"optional", a.optional}, {"help", a.help}});
    return {{"name", command["name"]},
            {"help", text(command, "help")},
            {"standstill", flag(command, "standstill")},
            {"query", flag(command, "query")},
            {"arguments", arguments}};
}

Json list_commands(Machine& m, const Arguments& a) {
    Json answer = Json::array();
    const auto add = [&](Instance& d) {
        const Offered o = offered_by(d);
        if (!o.table) return false;
        Json commands = Json::array();
        for (const Json& c : list_of(o)) commands.push_back(described(c));
        answer.push_back({{"device", d.name()}, {"commands", commands}});
        return true;
    };
    if (!a.has("device")) {
        for (Instance& d : m.devices()) add(d);
    } else if (!add(find_device(m, a.text("device")))) {
        throw CommandError(a.text("device") + " offers no commands");
    }
    return answer;
}

struct Call {
    std::string device, command, arguments;
};

// The device and its command, which may be gone since the caller last looked.
std::pair<Offered, Json> look_up(Machine& m, const Call& call) {
    const Offered o = offered_by(find_device(m, call.device));
    if (!o.table) throw CommandError(call.device + " offers no commands");
    std::vector<std::string> names;
    for (const Json& c : list_of(o)) {
        if (c["name"] == call.command) return {o, c};
        names.push_back(c["name"]);
    }
    throw CommandError("CommandNotFound", call.device + " has no command " + quoted_name(call.command, names));
}

Json execute(Machine& m, const Call& call) {
    const auto [o, command] = look_up(m, call);
    const Arguments checked(specs_of(command), call.arguments);
    if (m.in_session() && !flag(command, "query"))
        throw CommandError("a session is recorded or replayed: nothing but input may change the machine");
    std::string answer = "{}";
    o.device->failure.clear();
    const bp_status status = o.table->execute(
        o.instance, to_bp(call.command), to_bp(call.arguments),
        [](void* context, bp_str json) { static_cast<std::string*>(context)->assign(json.data, json.size); }, &answer);
    if (status != BP_OK)
        throw CommandError(call.device + ": " +
                           (o.device->failure.empty() ? "the command failed" : std::exchange(o.device->failure, {})));
    Json value = Json::parse(answer, nullptr, false);
    if (value.is_discarded()) throw CommandError("the plugin " + o.device->type->plugin_id + " gives no proper answer");
    return value;
}

void begin(Machine& m, const Arguments& a, const Reply& reply) {
    const Json& arguments = a.value("arguments");
    if (!arguments.is_null() && !arguments.is_object()) throw CommandError("argument `arguments`: expected an object");
    Call call{a.text("device"), a.text("command"), arguments.is_null() ? "{}" : arguments.dump()};
    if (!flag(look_up(m, call).second, "standstill")) return reply.ok(execute(m, call));
    m.at_standstill([&m, call = std::move(call), reply] {
        try {
            reply.ok(execute(m, call));
        } catch (const CommandError& e) {
            reply.fail(e);
        } catch (const std::exception& e) {
            reply.fail(CommandError(e.what()));
        }
    });
}

}  // namespace

void add_offered_commands(const CommandContext& context) {
    Machine& m = context.machine;
    using Type = ArgumentSpec::Type;
    m.control().add({.name = "device-commands",
                     .help = "the commands that devices offer",
                     .arguments = {{"device", Type::kText, true, "only those of this one"}},
                     .run = [&m](const Arguments& a) { return list_commands(m, a); }});
    m.control().add({.name = "device-command",
                     .help = "runs a command that a device offers",
                     .arguments = {{"device", Type::kText, false, "its name on the board"},
                                   {"command", Type::kText, false, "the command's name"},
                                   {"arguments", Type::kAny, true, "an object with the command's arguments"}},
                     .begin = [&m](const Arguments& a, Reply reply) { begin(m, a, reply); }});
}

}  // namespace backplane::kernel
