// Where the CPUs are, and what stands where in the address spaces.
#include <vector>

#include "kernel/control/commands.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {

// The engine knows best: while the machine is paused no thread sleeps in HLT.
bool halts(const Vcpu& v) {
    bp_x86_state state{};
    state.size = sizeof state;
    if (!v.state || v.state->get(v.engine, &state) != BP_OK) return v.halted;
    return (state.events & (BP_X86_HALTED | BP_X86_WAIT_FOR_SIPI)) != 0;
}

Json cpus_json(const Machine& m) {
    Json list = Json::array();
    for (const Vcpu& v : m.assembly().vcpus) {
        std::vector<char> text(4096);
        const std::size_t n = v.table->where(v.engine, text.data(), text.size());
        list.push_back({{"index", v.shared.index},
                        {"name", v.device->name()},
                        {"type", v.device->type->name},
                        {"halted", halts(v)},
                        {"instructions", v.shared.instructions},
                        {"instruction-pointer", v.shared.instruction_pointer},
                        {"where", std::string(text.data(), n)}});
    }
    return list;
}

Json claim_json(const Machine& m, const char* space, const Claim& c) {
    const std::string flags = std::string(c.flags & BP_MAP_READ ? "r" : "") + (c.flags & BP_MAP_WRITE ? "w" : "") +
                              (c.flags & (BP_MAP_SMM | BP_MAP_SMM_CODE) ? "s" : "");
    return {{"space", space},
            {"base", c.base},
            {"size", c.size},
            {"priority", (c.priority + 1023) / 1024},
            {"kind", c.region ? "registers" : "memory"},
            {"name", c.region ? c.region->label() : m.memory_label(c.ram)},
            {"access", c.region ? Json() : Json(flags)}};
}

Json types_json(Machine& m, const Arguments& a) {
    Json list = Json::array();
    if (!a.has("type")) {
        for (const std::string& name : m.registry().type_names()) list.push_back({{"name", name}});
        return list;
    }
    const TypeInfo& t = m.registry().type(a.text("type"));
    Json properties = Json::array();
    for (const PropertyInfo& p : t.properties)
        properties.push_back({{"name", p.name}, {"kind", p.kind_name()}, {"help", p.doc}});
    list.push_back({{"name", t.name}, {"help", t.doc}, {"plugin", t.plugin_id}, {"properties", properties}});
    return list;
}

}  // namespace

void add_inspect_commands(const CommandContext& context) {
    Machine& m = context.machine;
    m.control().add({.name = "cpu-list",
                     .help = "the CPUs, and where each of them is",
                     .when = Command::When::kStandstill,
                     .run = [&m](const Arguments&) { return cpus_json(m); }});
    m.control().add({.name = "type-list",
                     .help = "the types of devices that plugins bring",
                     .arguments = {{"type", ArgumentSpec::Type::kText, true, "only this one, with its properties"}},
                     .run = [&m](const Arguments& a) { return types_json(m, a); }});
    m.control().add(
        {.name = "board-list", .help = "the boards that are found in the search path", .run = [&m](const Arguments&) {
             Json list = Json::array();
             for (const auto& board : list_machines(m.search()))
                 list.push_back({{"name", board.name}, {"file", board.path}});
             return list;
         }});
    m.control().add({.name = "memory-map",
                     .help = "what stands where in the spaces of ports and memory; what is listed first wins",
                     .run = [&m](const Arguments&) {
                         Json list = Json::array();
                         if (const auto& ports = m.assembly().ports)
                             for (const Claim& c : ports->claims().all()) list.push_back(claim_json(m, "ports", c));
                         if (const auto& memory = m.assembly().memory)
                             for (const Claim& c : memory->claims().all()) list.push_back(claim_json(m, "memory", c));
                         for (const Vcpu& v : m.assembly().vcpus)
                             for (const Vcpu::Own& o : v.own) {
                                 Claim claim;
                                 claim.base = o.base, claim.size = o.region->length, claim.region = o.region;
                                 Json own = claim_json(m, "memory", claim);
                                 own["cpu"] = v.shared.index;
                                 list.push_back(std::move(own));
                             }
                         return list;
                     }});
}

}  // namespace backplane::kernel
