#include "kernel/debug/debugger.hpp"

#include <algorithm>

#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

void Debugger::still(const std::function<void()>& work) {
    bool done = false;
    machine_.locked([&] {
        if (!machine_.stands()) return;
        work();
        done = true;
    });
    if (!done) machine_.standstill(work);
}

Vcpu* Debugger::vcpu(std::size_t cpu) {
    std::deque<Vcpu>& all = machine_.live_->vcpus;
    return cpu < all.size() && all[cpu].debug && all[cpu].state ? &all[cpu] : nullptr;
}

std::size_t Debugger::cpus() {
    std::size_t count = 0;
    machine_.locked([&] {
        const auto& all = machine_.live_->vcpus;
        if (std::all_of(all.begin(), all.end(), [](const Vcpu& v) { return v.debug && v.state; })) count = all.size();
    });
    return count;
}

std::string Debugger::name(std::size_t cpu) {
    std::string text;
    machine_.locked([&] {
        if (const Vcpu* v = vcpu(cpu)) text = v->device->name();
    });
    return text;
}

u32 Debugger::features(std::size_t cpu) {
    u32 has = 0;
    still([&] {
        if (const Vcpu* v = vcpu(cpu)) has = v->debug->features(v->engine);
    });
    return has;
}

bp_x86_state Debugger::state(std::size_t cpu) {
    bp_x86_state state{};
    still([&] {
        state.size = sizeof state;
        if (const Vcpu* v = vcpu(cpu)) v->state->get(v->engine, &state);
    });
    return state;
}

std::string Debugger::set_state(std::size_t cpu, const bp_x86_state& state) {
    std::string why = "there is no such processor";
    still([&] {
        const Vcpu* v = vcpu(cpu);
        if (!v) return;
        v->device->failure.clear();
        const bool good = v->state->set(v->engine, &state) == BP_OK;
        if (machine_.deterministic()) machine_.live_->vcpus[cpu].halted = false;
        why = good ? "" : v->device->failure.empty() ? "the engine refuses the state" : v->device->failure;
    });
    return why;
}

u64 Debugger::read(std::size_t cpu, u64 address, void* data, u64 size, u32 how) {
    u64 done = 0;
    still([&] {
        if (const Vcpu* v = vcpu(cpu)) done = v->debug->read(v->engine, address, data, size, how);
    });
    return done;
}

u64 Debugger::write(std::size_t cpu, u64 address, const void* data, u64 size, u32 how) {
    u64 done = 0;
    still([&] {
        const Vcpu* v = vcpu(cpu);
        if (!v) return;
        done = v->debug->write(v->engine, address, data, size, how);
        // The others may hold code from there.
        constexpr u64 kPage = 4096;
        for (u64 at = 0; at < done; at += kPage - (address + at) % kPage) {
            const bool physical = (how & BP_DEBUG_PHYSICAL) != 0;
            const std::int64_t where =
                physical ? static_cast<std::int64_t>(address + at) : v->debug->translate(v->engine, address + at, 0);
            const u64 bytes = std::min(done - at, kPage - (address + at) % kPage);
            if (where < 0) continue;
            for (const Vcpu& other : machine_.live_->vcpus)
                if (&other != v) other.table->invalidate(other.engine, static_cast<u64>(where), bytes);
        }
    });
    return done;
}

std::int64_t Debugger::translate(std::size_t cpu, u64 address, u32 how) {
    std::int64_t physical = -1;
    still([&] {
        if (const Vcpu* v = vcpu(cpu)) physical = v->debug->translate(v->engine, address, how);
    });
    return physical;
}

bp_status Debugger::on_all(const std::function<bp_status(const Vcpu& cpu)>& work) {
    bp_status worst = BP_OK;
    for (const Vcpu& v : machine_.live_->vcpus) {
        if (!v.debug) continue;
        const bp_status status = work(v);
        if (status != BP_OK) worst = status;
    }
    return worst;
}

bp_status Debugger::add_breakpoint(u64 address) {
    bp_status status = BP_OK;
    still([&] {
        if (std::find(breakpoints_.begin(), breakpoints_.end(), address) != breakpoints_.end()) return;
        status = on_all([&](const Vcpu& v) { return v.debug->add_breakpoint(v.engine, address); });
        if (status == BP_OK)
            breakpoints_.push_back(address);
        else
            on_all([&](const Vcpu& v) { return v.debug->remove_breakpoint(v.engine, address); });
    });
    return status;
}

bp_status Debugger::remove_breakpoint(u64 address) {
    bp_status status = BP_ERR_NOT_FOUND;
    still([&] {
        if (std::erase(breakpoints_, address) == 0) return;
        on_all([&](const Vcpu& v) { return v.debug->remove_breakpoint(v.engine, address); });
        status = BP_OK;
    });
    return status;
}

bp_status Debugger::add_watchpoint(u64 address, u32 length, u32 access) {
    bp_status status = BP_OK;
    still([&] {
        const Watch w{address, length, access};
        if (std::find(watchpoints_.begin(), watchpoints_.end(), w) != watchpoints_.end()) return;
        status = on_all([&](const Vcpu& v) { return v.debug->add_watchpoint(v.engine, address, length, access); });
        if (status == BP_OK)
            watchpoints_.push_back(w);
        else
            on_all([&](const Vcpu& v) { return v.debug->remove_watchpoint(v.engine, address, length, access); });
    });
    return status;
}

bp_status Debugger::remove_watchpoint(u64 address, u32 length, u32 access) {
    bp_status status = BP_ERR_NOT_FOUND;
    still([&] {
        if (std::erase(watchpoints_, Watch{address, length, access}) == 0) return;
        on_all([&](const Vcpu& v) { return v.debug->remove_watchpoint(v.engine, address, length, access); });
        status = BP_OK;
    });
    return status;
}

void Debugger::clear() {
    still([&] {
        breakpoints_.clear();
        watchpoints_.clear();
        stay_.clear();
        stops_.clear();
        for (const Vcpu& v : machine_.live_->vcpus)
            if (v.debug) v.debug->clear(v.engine);
    });
}

bool Debugger::go(const std::vector<Go>& what, bool hold) {
    bool moves = false;
    machine_.locked([&] {
        if (!machine_.stands() || what.empty()) return;
        const std::size_t count = machine_.live_->vcpus.size();
        const auto of = [&](std::size_t i) { return i < what.size() ? what[i] : what.back(); };
        for (std::size_t i = 0; i < count; ++i) moves = moves || of(i) != Go::kStay;
        if (!moves) return;
        stay_.assign(count, false);
        stops_.clear();
        for (std::size_t i = 0; i < count; ++i) {
            stay_[i] = of(i) == Go::kStay;
            if (const Vcpu* v = vcpu(i))
                v->debug->step(v->engine, of(i) != Go::kStep ? BP_STEP_OFF : hold ? BP_STEP_ONE_HELD : BP_STEP_ONE);
        }
        machine_.resume();
    });
    return moves;
}

std::vector<Debugger::Stop> Debugger::take_stops() {
    std::vector<Stop> taken;
    machine_.locked([&] { taken.swap(stops_); });
    return taken;
}

void Debugger::stopped(Vcpu& cpu) {
    Stop stop{cpu.shared.index, {}};
    stop.what.size = sizeof stop.what;
    if (cpu.debug) cpu.debug->last_stop(cpu.engine, &stop.what);
    stops_.push_back(stop);
}

void Debugger::paused() {
    stay_.clear();
    for (const Vcpu& v : machine_.live_->vcpus)
        if (v.debug) v.debug->step(v.engine, BP_STEP_OFF);
}

void Debugger::assembly_changed() {
    for (const Vcpu& v : machine_.live_->vcpus) {
        if (!v.debug) continue;
        for (const u64 address : breakpoints_) v.debug->add_breakpoint(v.engine, address);
        for (const Watch& w : watchpoints_) v.debug->add_watchpoint(v.engine, w.address, w.length, w.access);
    }
}

}  // namespace backplane::kernel
