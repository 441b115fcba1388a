#include "kernel/machine/exchange.hpp"

#include <algorithm>

#include "kernel/config/convert.hpp"
#include "kernel/control/machine_events.hpp"
#include "kernel/debug/debugger.hpp"
#include "kernel/machine/builder.hpp"
#include "kernel/machine/device_state.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

std::vector<NewEngine> new_engines(const Snapshot& saved, Assembly& next, bool all) {
    std::vector<NewEngine> engines;
    for (Vcpu& v : next.vcpus) {
        const auto s = std::find_if(saved.devices.begin(), saved.devices.end(),
                                    [&](const DeviceState& d) { return d.name == v.device->name(); });
        if (s == saved.devices.end() || (!all && s->type == v.device->type->name)) continue;
        if (!gives_state(v))
            throw Error(v.device->name() + ": " + v.device->type->name + " does not take another processor's state");
        NewEngine e{&v, &*s, {}};
        for (u32 line = 0; line < v.device->type->input_count; ++line)
            e.heard.push_back(next.wires.input(v.device->index, line));
        engines.push_back(std::move(e));
    }
    return engines;
}

bool is_new_engine(const std::vector<NewEngine>& engines, const Instance& device) {
    return std::any_of(engines.begin(), engines.end(), [&](const NewEngine& e) { return e.cpu->device == &device; });
}

void start_engine(NewEngine& e) {
    Instance& d = *e.cpu->device;
    // Levels first: an edge that was already taken is none, which the state says then.
    for (const LineInfo& l : d.type->inputs)
        for (u32 n = 0; n < l.count; ++n) {
            const bool level = d.assembly->wires.input(d.index, l.first + n);
            if (level != e.heard[l.first + n] && l.changed) l.changed(d.object, n, level ? 1 : 0);
        }
    set_cpu_state(*e.cpu, cpu_state_of(*e.cpu, e.saved->cpu));
}

// What is attached to the CPUs from outside must be possible with the new engine as well.
void Machine::check_exchange(const Assembly& next) const {
    if (next.vcpus.size() != live_->vcpus.size())
        throw Error("the board would have " + std::to_string(next.vcpus.size()) + " CPUs instead of " +
                    std::to_string(live_->vcpus.size()));
    for (const Vcpu& v : next.vcpus) {
        if (debugger_->in_use() && !v.debug)
            throw Error(v.device->name() + ": " + v.device->type->name +
                        " knows no breakpoints, and a debugger has set some");
        if (trace_path_.empty()) continue;
        const std::string file = trace_file(trace_path_, v);
        v.device->failure.clear();
        if (v.table->trace_instructions(v.engine, {file.data(), file.size()}) != BP_OK)
            throw Error(v.device->name() + ": instructions are being traced, which " + v.device->type->name +
                        " cannot do" + (v.device->failure.empty() ? "" : ": " + v.device->failure));
    }
}

std::string Machine::exchange_engine(const std::string& engine) {
    lock_.lock();
    struct Unlock {
        MachineLock& lock;
        ~Unlock() { lock.unlock(); }
    } unlock{lock_};
    if (live_->vcpus.empty()) throw Error("the board has no CPU whose engine could be exchanged");
    try {
        BoardSpec board = engine.empty() ? board_ : with_parameter(board_, "engine", engine, "engine " + engine);
        std::vector<std::string> cpus;
        for (const Vcpu& v : live_->vcpus) {
            cpus.push_back(v.device->name());
            if (!gives_state(v))
                throw Error(v.device->name() + ": " + v.device->type->name +
                            " does not give its processor's state away");
        }
        const std::string difference = board_difference(board_, board, cpus);
        if (!difference.empty())
            throw Error("with the engine " + in_ticks(engine) + " more than the CPUs would change: " + difference);
        const auto trace = [this](const std::string& path) {
            for (const Vcpu& v : live_->vcpus) {
                const std::string file = trace_file(path, v);
                v.table->trace_instructions(v.engine, {file.data(), file.size()});
            }
        };
        // The last lines come before those of the one that takes over.
        if (!trace_path_.empty()) trace("");
        const Snapshot s = collect();
        try {
            take_over(s, {.force = true, .new_engines = true, .board = &board, .check = [this](const Assembly& next) {
                              check_exchange(next);
                          }});
        } catch (...) {
            if (!trace_path_.empty()) trace(trace_path_);
            throw;
        }
    } catch (const Error& e) {
        throw Error(std::string("the engine cannot be exchanged, the old one goes on: ") + e.what(), e.exit_code);
    }
    std::string types;
    for (const Vcpu& v : live_->vcpus)
        types += (types.empty() ? "" : ", ") + v.device->name() + ": " + v.device->type->name;
    const std::string text = "the CPUs go on with " + types;
    logger_.log(log_, BP_LOG_INFO, text);
    tell_engine(*control_, text);
    return text;
}

}  // namespace backplane::kernel
