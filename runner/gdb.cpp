#include "runner/gdb.hpp"

#include <chrono>
#include <cstdio>
#include <thread>

#include "kernel/control/control.hpp"
#include "kernel/debug/debugger.hpp"

namespace backplane::runner {

GdbServer::GdbServer(kernel::Machine& machine, Monitor& monitor, const std::string& where)
    : machine_(machine), monitor_(monitor) {
    if (cpus() == 0) throw kernel::Error("--gdb: this machine has no processor that can be debugged");
    machine_.control().listen(this, [this](const std::string& json) {
        const kernel::Json event = kernel::Json::parse(json, nullptr, false);
        if (!event.is_object() || event.value("event", "") != "STOP") return;
        stopped_ = true;
        peer_.ring();
    });
    const std::string why =
        peer_.start(where, false,
                    {[this] { came(); }, [this](std::string_view bytes) { heard(bytes); }, [this] { gone(); },
                     [](const std::string& text) { std::fprintf(stderr, "backplane: --gdb: %s\n", text.c_str()); },
                     [this] {
                         look_for_stop();
                         return true;
                     }});
    if (why.empty()) return;
    machine_.control().listen(this, {});
    throw kernel::Error("--gdb " + where + ": " + why);
}

GdbServer::~GdbServer() {
    machine_.control().listen(this, {});
    peer_.stop();
}

void GdbServer::ended(int code) {
    const std::lock_guard g(mutex_);
    if (session_) session_->ended(code);
}

// --- the client's comings and goings, in the peer's thread
// --------------------------------------------------------------

void GdbServer::came() {
    const std::lock_guard g(mutex_);
    was_paused_ = machine_.paused();
    machine_.pause();
    machine_.debugger().clear();
    session_ = std::make_unique<gdb::Session>(*this, [this](std::string_view bytes) { peer_.send(bytes); });
}

void GdbServer::gone() {
    const std::lock_guard g(mutex_);
    if (session_ && !session_->over()) leave(!was_paused_);
    session_.reset();
}

void GdbServer::heard(std::string_view bytes) {
    const std::lock_guard g(mutex_);
    if (!session_ || session_->over()) return;
    session_->take(bytes);
    if (session_->over()) peer_.hang_up();
}

void GdbServer::look_for_stop() {
    if (!stopped_.exchange(false)) return;
    const std::lock_guard g(mutex_);
    if (!session_ || !session_->running()) return;
    std::vector<gdb::Stop> stops;
    for (const kernel::Debugger::Stop& s : machine_.debugger().take_stops()) stops.push_back({s.cpu, s.what});
    session_->stopped(stops);
}

// --- what the session asks for
// ------------------------------------------------------------------------------------------

namespace {
u32 how(bool physical) { return physical ? BP_DEBUG_PHYSICAL : 0; }
}  // namespace

std::size_t GdbServer::cpus() { return machine_.debugger().cpus(); }
std::string GdbServer::cpu_name(std::size_t cpu) { return machine_.debugger().name(cpu); }
u32 GdbServer::features(std::size_t cpu) { return machine_.debugger().features(cpu); }
bp_x86_state GdbServer::state(std::size_t cpu) { return machine_.debugger().state(cpu); }
bool GdbServer::set_state(std::size_t cpu, const bp_x86_state& state) {
    return !machine_.in_session() && machine_.debugger().set_state(cpu, state).empty();
}
u64 GdbServer::read(std::size_t cpu, u64 address, void* data, u64 size, bool physical) {
    return machine_.debugger().read(cpu, address, data, size, how(physical));
}
u64 GdbServer::write(std::size_t cpu, u64 address, const void* data, u64 size, bool physical) {
    // A session that is recorded or replayed is looked at, not changed.
    return machine_.in_session() ? 0 : machine_.debugger().write(cpu, address, data, size, how(physical));
}
bool GdbServer::add_breakpoint(u64 address) { return machine_.debugger().add_breakpoint(address) == BP_OK; }
bool GdbServer::remove_breakpoint(u64 address) { return machine_.debugger().remove_breakpoint(address) == BP_OK; }
bool GdbServer::add_watchpoint(u64 address, u32 length, u32 access) {
    return machine_.debugger().add_watchpoint(address, length, access) == BP_OK;
}
bool GdbServer::remove_watchpoint(u64 address, u32 length, u32 access) {
    return machine_.debugger().remove_watchpoint(address, length, access) == BP_OK;
}

void GdbServer::go(const std::vector<Go>& what, bool hold_interrupts) {
    was_paused_ = false;
    // A pause that was asked for is complete in a moment. Who has let the machine go on meanwhile was faster.
    bool stands = false;
    for (unsigned n = 0; n < 2000 && !stands && machine_.paused(); ++n) {
        machine_.locked([&] { stands = machine_.stands(); });
        if (!stands) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    stopped_ = false;
    std::vector<kernel::Debugger::Go> plan;
    for (const Go g : what)
        plan.push_back(g == Go::kOn     ? kernel::Debugger::Go::kOn
                       : g == Go::kStep ? kernel::Debugger::Go::kStep
                                        : kernel::Debugger::Go::kStay);
    machine_.debugger().go(plan, hold_interrupts);
}

void GdbServer::pause() { machine_.pause(); }

void GdbServer::leave(bool on) {
    machine_.debugger().clear();
    if (on) machine_.resume();
}

std::string GdbServer::monitor(const std::string& line) { return monitor_.run(line); }
void GdbServer::kill() { machine_.quit("the debugger"); }

}  // namespace backplane::runner
