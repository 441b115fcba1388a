// Saving a machine, and letting a second set of devices take over: restored from a snapshot, or with a plugin built
// anew.
#include "kernel/state/snapshot.hpp"

#include <algorithm>

#include "kernel/config/convert.hpp"
#include "kernel/control/machine_events.hpp"
#include "kernel/debug/debugger.hpp"
#include "kernel/machine/builder.hpp"
#include "kernel/machine/cross_check.hpp"
#include "kernel/machine/device_state.hpp"
#include "kernel/machine/exchange.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {

std::string fact_name(const FactState& f) { return f.what + " of " + f.from + " (" + f.key + ")"; }

// A fact is computed once and many rely on it: a machine that computes another one is another machine.
void compare_facts(const std::vector<FactState>& saved, const std::vector<FactState>& here) {
    for (const FactState& s : saved) {
        const auto found = std::find_if(here.begin(), here.end(), [&](const FactState& f) {
            return f.from == s.from && f.what == s.what && f.key == s.key;
        });
        if (found == here.end()) throw Error("the fact " + fact_name(s) + " is not published here");
        for (const auto& [name, value] : s.fields) {
            const auto field = std::find_if(found->fields.begin(), found->fields.end(),
                                            [&](const auto& f) { return f.first == name; });
            if (field == found->fields.end()) throw Error("the fact " + fact_name(s) + " has no `" + name + "` here");
            if (field->second != value)
                throw Error("the fact " + fact_name(s) + ": `" + name + "` is " + field->second + " here and was " +
                            value);
        }
    }
    for (const FactState& f : here)
        if (std::none_of(saved.begin(), saved.end(),
                         [&](const FactState& s) { return f.from == s.from && f.what == s.what && f.key == s.key; }))
            throw Error("the fact " + fact_name(f) + " was not published when the snapshot was taken");
}

// Devices of the guest must be the same, in type and properties; back ends may differ.
void compare_devices(const std::vector<DeviceState>& saved, const Assembly& here) {
    for (const DeviceState& s : saved) {
        const Instance* d = here.device(s.name);
        if (s.plugin_kind == "backend") continue;
        if (!d) throw Error(s.name + " (" + s.type + ") is not on this board");
        if (d->type->name != s.type) {
            const bool engine = d->type->offers_interface(BP_CPU_STATE_ID);
            if (!engine || s.cpu.empty())
                throw Error(s.name + " is a " + d->type->name + " here and was a " + s.type +
                            (engine ? ", whose processor state is not in the snapshot" : ""));
        }
        const DeviceState now = save_device(*d);
        for (const auto& [name, value] : s.properties) {
            const auto found = std::find_if(now.properties.begin(), now.properties.end(),
                                            [&](const auto& p) { return p.first == name; });
            if (found != now.properties.end() && found->second != value)
                throw Error(s.name + ": its property `" + name + "` is " + found->second + " here and was " + value);
        }
    }
    for (const Instance& d : here.all())
        if (!d.type->backend &&
            std::none_of(saved.begin(), saved.end(), [&](const DeviceState& s) { return s.name == d.name(); }))
            throw Error(d.name() + " (" + d.type->name + ") is not in the snapshot");
}

}  // namespace

// Times that no machine reaches, and whose sums would overflow.
void Machine::check_times(const Snapshot& s) const {
    constexpr std::int64_t kMostTime = std::int64_t{1} << 61;
    constexpr u64 kMostSeconds = u64{1} << 40;  // since 1970
    if (s.time_ns < 0 || s.time_ns > kMostTime)
        throw Error("its time, " + std::to_string(s.time_ns) + " ns, is beyond any machine's");
    if (s.start_time > kMostSeconds)
        throw Error("its start, " + std::to_string(s.start_time) + " s after 1970, is beyond any calendar");
    const u64 most = static_cast<u64>(kMostTime / clock_->ns_per_instruction());
    u64 all = 0;
    for (const u64 count : s.instructions)
        if (count > most || (all += count) > most)
            throw Error("its count of instructions, " + std::to_string(count) + ", is beyond any machine's");
    for (const DeviceState& d : s.devices)
        for (const DeviceState::Timer& t : d.timers)
            if (t.due > kMostTime)
                throw Error(d.name + "." + t.name + ": the timer's time, " + std::to_string(t.due) +
                            " ns, is beyond any machine's");
}

Snapshot Machine::collect() {
    drain();
    Snapshot s;
    s.program_version = options_.program_version;
    s.abi_major = BP_ABI_MAJOR, s.abi_minor = BP_ABI_MINOR;
    s.board = board_.name;
    if (options_.request_json) s.request_json = options_.request_json(board_);
    s.deterministic = clock_->deterministic();
    s.time_ns = clock_->now();
    s.start_time = static_cast<u64>(start_time_);
    s.random_state = random_state_;
    s.timer_sequence = live_->timers.sequence(), s.timers_fired = live_->timers.fired();
    for (const Vcpu& v : live_->vcpus) s.instructions.push_back(v.shared.instructions);
    if (live_->vcpus.size() > 1) {
        const u64 executed = live_->vcpus[turn_].shared.instructions;
        s.turn = turn_, s.turn_left = turn_end_ > executed ? turn_end_ - executed : 0;
    }
    for (const Instance& d : live_->all()) s.devices.push_back(save_device(d));
    for (const Vcpu& v : live_->vcpus)
        if (gives_state(v)) s.devices[v.device->index].cpu = cpu_fields(v, cpu_state(v));
    s.facts = live_->facts;
    for (const Instance& d : live_->all())
        for (const u32 block : d.blocks) {
            const Ram::Block& b = ram_.block(block);
            s.memory.push_back({b.owner, b.name, b.size});
        }
    return s;
}

void Machine::save(const std::string& path) {
    lock_.lock();
    struct Unlock {
        MachineLock& lock;
        ~Unlock() { lock.unlock(); }
    } unlock{lock_};
    const Snapshot s = collect();
    std::vector<u32> blocks;
    for (const Instance& d : live_->all()) blocks.insert(blocks.end(), d.blocks.begin(), d.blocks.end());
    write_snapshot(path, s, [&](std::size_t i) { return ram_.at(ram_.block(blocks[i]).offset); });
    logger_.log(log_, BP_LOG_INFO, "saved to " + path);
    tell_saved(*control_, path);
}

void Machine::load(const std::string& path, bool force) {
    const SnapshotFile file(path);
    const Snapshot& s = file.snapshot();
    lock_.lock();
    struct Unlock {
        MachineLock& lock;
        ~Unlock() { lock.unlock(); }
    } unlock{lock_};
    try {
        if (in_session()) throw Error("a session that is recorded or replayed cannot go on somewhere else");
        if (s.board != board_.name)
            throw Error("it was taken on the board " + in_ticks(s.board) + ", this machine is a " + board_.name);
        if (s.deterministic != clock_->deterministic() && !force)
            throw Error(s.deterministic ? "it was taken with the deterministic clock, this machine follows the host's"
                                        : "it was taken with the host's clock, this machine's is deterministic");
        check_times(s);
        std::vector<std::pair<u32, std::size_t>> blocks;  // of guest memory: index here and in the file
        take_over(s, {.force = force, .check = [&](const Assembly& next) {
                          compare_devices(s.devices, next);
                          std::vector<bool> used(s.memory.size(), false);
                          for (const Instance& d : next.all())
                              for (const u32 block : d.blocks) {
                                  const Ram::Block& b = ram_.block(block);
                                  const std::string label = "memory " + in_ticks(b.name) + " of " + b.owner;
                                  std::size_t i = 0;
                                  while (i < s.memory.size() &&
                                         (used[i] || s.memory[i].owner != b.owner || s.memory[i].name != b.name))
                                      ++i;
                                  if (i == s.memory.size()) throw Error(label + " is not in the snapshot");
                                  if (s.memory[i].size != b.size)
                                      throw Error(label + " has " + std::to_string(b.size) + " bytes here and had " +
                                                  std::to_string(s.memory[i].size));
                                  used[i] = true;
                                  blocks.emplace_back(block, i);
                              }
                          for (std::size_t i = 0; i < used.size(); ++i)
                              if (!used[i])
                                  throw Error("memory " + in_ticks(s.memory[i].name) + " of " + s.memory[i].owner +
                                              " does not exist here");
                      }});
        for (const auto& [block, index] : blocks) {
            const bool zeroed = ram_.clear(block);
            file.load_memory(index, ram_.at(ram_.block(block).offset), zeroed);
        }
        ram_.replaced();
    } catch (const Error& e) {
        throw Error(path + ": cannot be restored: " + e.what());
    }
    logger_.log(log_, BP_LOG_INFO, "restored from " + path);
    tell_restored(*control_, path);
}

std::string Machine::reload(const std::string& what) {
    lock_.lock();
    struct Unlock {
        MachineLock& lock;
        ~Unlock() { lock.unlock(); }
    } unlock{lock_};
    std::string id, file;
    if (const Instance* d = device(what)) {
        id = d->type->plugin_id;
        if (id.empty()) throw Error(what + ": its type belongs to the program, not to a plugin", kExitPlugin);
    } else {
        id = registry_.loaded_plugin(what);
        if (what.ends_with(".so")) file = what;
        if (id.empty())
            throw Error(in_ticks(what) + " is neither a device on this board nor a loaded plugin", kExitPlugin);
    }
    const std::vector<std::string> kept = Builder::keepable(*live_);
    std::string users, version;
    for (const Instance& d : live_->all()) {
        if (d.type->plugin_id != id) continue;
        if (std::find(kept.begin(), kept.end(), d.name()) != kept.end())
            throw Error(d.name() + ": the plugin " + id +
                            " works on the host's side (files, connections), which a reload would have to give up; "
                            "devices and engines can be reloaded",
                        kExitPlugin);
        users += (users.empty() ? "" : ", ") + d.name();
    }
    const Snapshot s = collect();
    registry_.begin_reload(id, file);
    try {
        take_over(s, {.force = true});
    } catch (const Error& e) {
        registry_.end_reload(false);
        throw Error("the new build of " + id + " cannot take over, the old one goes on: " + e.what(), kExitPlugin);
    } catch (...) {
        registry_.end_reload(false);
        throw;
    }
    registry_.end_reload(true);
    for (const Instance& d : live_->all())
        if (d.type->plugin_id == id) version = d.type->plugin_version;
    const std::string text =
        "plugin " + id + " " + version + " reloaded; it serves " + (users.empty() ? "nobody" : users);
    logger_.log(log_, BP_LOG_INFO, text);
    tell_reloaded(*control_, what, text);
    return text;
}

// Under the lock, at a standstill. Whatever goes wrong, the present devices go on as if nothing had been tried.
void Machine::take_over(const Snapshot& saved, const TakeOver& how) {
    drain();
    const std::vector<std::string> kept = Builder::keepable(*live_);
    const std::int64_t time = clock_->now(), start_time = start_time_;
    const u64 random_state = random_state_;
    std::unique_ptr<Assembly> next = new_assembly();
    Builder builder(*this, *next, live_.get(), kept, how.board);
    std::vector<NewEngine> engines;
    ram_.begin_staging();
    try {
        clock_->set(saved.time_ns);
        start_time_ = static_cast<std::int64_t>(saved.start_time);
        builder.build();
        if (how.check) how.check(*next);
        engines = new_engines(saved, *next, how.new_engines);
        compare_facts(saved.facts, next->facts);
        if (saved.instructions.size() != next->vcpus.size())
            throw Error("it has " + std::to_string(saved.instructions.size()) + " processors, this board has " +
                        std::to_string(next->vcpus.size()));
        for (std::size_t i = 0; i < next->vcpus.size(); ++i) next->vcpus[i].shared.instructions = saved.instructions[i];
        for (const DeviceState& s : saved.devices) {
            Instance* d = next->device(s.name);
            if (!d) continue;
            if (is_new_engine(engines, *d)) {
                load_outputs(*d, s);
                continue;
            }
            if (d->type->name != s.type) continue;  // a back end that is another one now
            if (!how.force) check_identity(*d, s);
            if (std::find(kept.begin(), kept.end(), s.name) == kept.end()) load_device(*d, s, saved.time_ns);
        }
        next->wires.settle();
        next->timers.restore_counters(saved.timers_fired, saved.timer_sequence);
        for (Instance* d : next->order) {
            if (std::find(kept.begin(), kept.end(), d->name()) != kept.end() || is_new_engine(engines, *d)) continue;
            d->failure.clear();
            if (d->type->abi->restored(d->object) != BP_OK)
                throw Error(d->name() + ": " +
                            (d->failure.empty() ? "it does not accept the saved state" : d->failure));
        }
        for (NewEngine& e : engines) start_engine(e);
    } catch (...) {
        Builder::tear_down(*this, *next, kept);
        ram_.end_staging(false);
        clock_->set(time);
        start_time_ = start_time;
        random_state_ = random_state;
        throw;
    }
    ram_.end_staging(true);
    ram_.replaced();
    random_state_ = saved.random_state;
    if (saved.turn < next->vcpus.size()) {
        turn_ = saved.turn;
        turn_end_ = next->vcpus[turn_].shared.instructions + std::min(saved.turn_left, kTurn);
    }
    std::swap(live_, next);
    ++swaps_;
    if (cross_check_) cross_check_->replaced();
    for (Instance& d : live_->all()) d.assembly = live_.get();
    if (how.board) {
        for (Instance& d : live_->all()) d.spec = how.board->device(d.name());
        // What is torn down below still looks at the other one.
        std::swap(board_, *how.board);
    }
    if (clock_->deterministic()) {
        if (!live_->vcpus.empty()) follow_clock(live_->vcpus[turn_]);
        clock_->set(saved.time_ns);
    }
    builder.connect();
    debugger_->assembly_changed();
    Builder::tear_down(*this, *next, kept);
    wake_vcpus();
    wake();
}

}  // namespace backplane::kernel
