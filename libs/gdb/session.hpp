// One client of the remote serial protocol. All processors stop and go on together; each is a thread, numbered from 1.
//
// Bytes go in by take(), what the machine does by stopped() and ended(); answers come out by `send`. Nothing that a
// client says can do harm beyond what a debugger may do.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gdb/packet.hpp"
#include "gdb/registers.hpp"
#include "gdb/target.hpp"

namespace backplane::gdb {

class Session {
  public:
    using Send = std::function<void(std::string_view bytes)>;
    Session(Target& target, Send send);

    void take(std::string_view bytes);
    // The machine stands; what has stopped processors, if it was a debugger's doing.
    void stopped(const std::vector<Stop>& stops);
    void ended(int code);  // the machine has ended
    // The client has detached, or killed the machine: nothing more is to be said.
    bool over() const { return over_; }
    bool running() const { return running_; }

  private:
    static constexpr unsigned kSignalInterrupt = 2, kSignalTrap = 5;

    // session.cpp
    void packet(std::string_view text);
    std::string answer(std::string_view text);
    void reply(std::string_view text);
    std::string thread_of(std::string_view text);
    std::optional<std::size_t> cpu_of(std::string_view id) const;
    std::string select(std::string_view text);

    // session_query.cpp
    std::string query(std::string_view text);
    std::string set(std::string_view text);
    std::string supported(std::string_view text);
    std::string features(std::string_view text);
    std::string monitor(std::string_view text);
    std::string set_steps(std::string_view text);

    // session_data.cpp
    std::string read_registers();
    std::string write_registers(std::string_view text);
    std::string read_register(std::string_view text);
    std::string write_register(std::string_view text);
    std::string read_memory(std::string_view text, bool binary);
    std::string write_memory(std::string_view text, bool binary);
    std::string point(std::string_view text, bool insert);

    // session_run.cpp
    std::string resume(std::string_view text);
    std::string continue_threads(std::string_view text);
    void go(const std::vector<Target::Go>& what);
    void interrupt();
    std::string stop_reply() const;

    Target& target_;
    Send send_;
    Decoder decoder_;
    std::vector<Register> registers_;
    std::string description_;
    std::string last_;  // packet sent, in case the client asks for it again
    bool acknowledge_ = true;
    bool client_knows_swbreak_ = false, client_knows_hwbreak_ = false;
    bool physical_ = false;       // addresses of memory are physical
    u32 steps_ = kStepHolds | 1;  // how steps are made, as bits
    static constexpr u32 kStepHolds = 2, kStepKnown = 7;
    std::vector<u64> hard_;            // breakpoints that are called hardware's
    std::size_t cpu_ = 0;              // whose registers and memory
    std::optional<std::size_t> only_;  // processor that c and s mean; nothing: all go on
    Stop stop_{};
    unsigned signal_ = kSignalTrap;
    bool running_ = false, over_ = false;
};

inline constexpr const char* kErrorInvalid = "E16";
inline constexpr const char* kErrorAddress = "E0e";
inline constexpr const char* kErrorFull = "E1c";

}  // namespace backplane::gdb
