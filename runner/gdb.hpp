// --gdb: a debugger attaches to the running machine's processors.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "kernel/machine/machine.hpp"
#include "libs/control/peer.hpp"
#include "libs/gdb/session.hpp"
#include "runner/monitor.hpp"

namespace backplane::runner {

// Serves one client at a time; the next one waits until it has gone. The machine is paused when a client comes, and
// goes on when it leaves, if it ran before.
class GdbServer final : public gdb::Target {
  public:
    // `where`: unix:PATH or tcp:127.0.0.1:PORT. Before the machine runs. Throws Error.
    GdbServer(kernel::Machine& machine, Monitor& monitor, const std::string& where);
    ~GdbServer() override;
    // The machine has ended with this code.
    void ended(int code);

  private:
    std::size_t cpus() override;
    std::string cpu_name(std::size_t cpu) override;
    u32 features(std::size_t cpu) override;
    bp_x86_state state(std::size_t cpu) override;
    bool set_state(std::size_t cpu, const bp_x86_state& state) override;
    u64 read(std::size_t cpu, u64 address, void* data, u64 size, bool physical) override;
    u64 write(std::size_t cpu, u64 address, const void* data, u64 size, bool physical) override;
    bool add_breakpoint(u64 address) override;
    bool remove_breakpoint(u64 address) override;
    bool add_watchpoint(u64 address, u32 length, u32 access) override;
    bool remove_watchpoint(u64 address, u32 length, u32 access) override;
    void go(const std::vector<Go>& what, bool hold_interrupts) override;
    void pause() override;
    void leave(bool on) override;
    std::string monitor(const std::string& line) override;
    void kill() override;

    void came();
    void gone();
    void heard(std::string_view bytes);
    void look_for_stop();

    kernel::Machine& machine_;
    Monitor& monitor_;
    std::mutex mutex_;  // of the session
    std::unique_ptr<gdb::Session> session_;
    bool was_paused_ = false;  // when the client came, and it has not moved the machine since
    std::atomic<bool> stopped_{false};
    control::Peer peer_;
};

}  // namespace backplane::runner
