// What the engine counts for its users.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace backplane::kvm {

using u64 = std::uint64_t;

// Why the interpreter runs the guest for a while.
enum class Reason : unsigned {
    kReset,          // the first instruction after a reset, or of a state from elsewhere
    kSmm,            // system management mode
    kA20,            // address line 20 is held down
    kStartup,        // INIT, or waiting for STARTUP
    kTrap,           // a trap or event that KVM cannot be given
    kDebugger,       // breakpoints, steps, a trace of instructions
    kRefused,        // KVM does not take the processor's state (KVM_EXIT_FAIL_ENTRY as well)
    kInternalError,  // KVM_EXIT_INTERNAL_ERROR: it could not emulate an instruction
    kUnknownExit,    // KVM_RUN failed, or gave a reason that is not known here
    kNoProgress,     // the same registers for seconds
    kCount
};
[[nodiscard]] std::string_view name_of(Reason reason);

enum class Exit : unsigned { kIo, kMmio, kHalt, kWindow, kSignal, kMsr, kOther, kCount };
[[nodiscard]] std::string_view name_of(Exit exit);

struct Statistics {
    u64 entries = 0;  // of the guest
    std::array<u64, static_cast<std::size_t>(Exit::kCount)> exits{};
    std::array<u64, static_cast<std::size_t>(Reason::kCount)> handed{};        // to the interpreter
    std::array<u64, static_cast<std::size_t>(Reason::kCount)> instructions{};  // that it executed
    u64 interrupts = 0, nmis = 0;
    void count(Exit e) { ++exits[static_cast<std::size_t>(e)]; }

    [[nodiscard]] std::string text() const;  // one line for people
    [[nodiscard]] std::string json() const;  // members of an object
};

}  // namespace backplane::kvm
