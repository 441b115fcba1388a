// Runs 64-bit user code on the host's own processor, with all general registers loaded; left by whatever exception the
// code ends in (it is followed by INT3). Test support only; single-threaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "test_native_host.hpp"

namespace backplane::interp::test {

struct LongState {
    std::uint64_t gpr[16] = {};
    std::uint64_t rip = 0;
    std::uint64_t rflags = 0x202;
    // How it ended.
    std::uint32_t vector = 0;
    std::uint32_t error = 0;
    std::uint64_t cr2 = 0;
    // If there: gets the image of FXSAVE. Its exceptions are masked and none waits when the host goes on.
    std::uint8_t* fx = nullptr;
};

namespace detail {
struct LongCrossing {
    std::uint64_t gpr[16] = {};
    std::uint64_t reserved = 0;
    std::uint64_t saved_rsp = 0;
    std::uint64_t resume = 0;
    std::uint64_t flags = 0;
    LongState* result = nullptr;
};
inline LongCrossing long_crossing;
// Named for the assembly: no register is left to address it with.
[[gnu::used]] inline std::uint64_t long_target asm("backplane_test_long_target");

inline void on_long_signal(int, siginfo_t*, void* context) {
    auto* u = static_cast<ucontext_t*>(context);
    greg_t* r = u->uc_mcontext.gregs;
    LongState& s = *long_crossing.result;
    static constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                       REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    for (int n = 0; n < 16; ++n) s.gpr[n] = static_cast<std::uint64_t>(r[kOrder[n]]);
    s.rip = static_cast<std::uint64_t>(r[REG_RIP]);
    s.rflags = static_cast<std::uint64_t>(r[REG_EFL]);
    s.vector = static_cast<std::uint32_t>(r[REG_TRAPNO]);
    s.error = static_cast<std::uint32_t>(r[REG_ERR]);
    s.cr2 = static_cast<std::uint64_t>(r[REG_CR2]);
    if (s.fx != nullptr) {
        auto* fx = reinterpret_cast<std::uint8_t*>(u->uc_mcontext.fpregs);
        static constexpr std::uint8_t kClean[5] = {0x7f, 0x03, 0, 0, 0};  // FCW, FSW, no register in use
        static constexpr std::uint32_t kMasked = 0x1f80;
        std::memcpy(s.fx, fx, 512);
        std::memcpy(fx, kClean, sizeof kClean);
        std::memcpy(fx + 24, &kMasked, sizeof kMasked);
    }
    r[REG_RIP] = static_cast<greg_t>(long_crossing.resume);
    r[REG_RSP] = static_cast<greg_t>(long_crossing.saved_rsp);
    r[REG_EFL] = 0x202;
}
}  // namespace detail

class LongHostProcessor {
  public:
    LongHostProcessor() {
        stack_t stack{};
        stack.ss_sp = stack_.get();
        stack.ss_size = kStack;
        sigaltstack(&stack, nullptr);
        struct sigaction action {};
        action.sa_sigaction = detail::on_long_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (std::size_t n = 0; n < HostProcessor::kSignals; ++n)
            sigaction(HostProcessor::kNumbers[n], &action, &old_[n]);
    }
    LongHostProcessor(const LongHostProcessor&) = delete;
    LongHostProcessor& operator=(const LongHostProcessor&) = delete;
    ~LongHostProcessor() {
        for (std::size_t n = 0; n < HostProcessor::kSignals; ++n)
            sigaction(HostProcessor::kNumbers[n], &old_[n], nullptr);
        stack_t off{};
        off.ss_flags = SS_DISABLE;
        sigaltstack(&off, nullptr);
    }

    [[gnu::noinline]] void run(LongState& s) {
        detail::LongCrossing& x = detail::long_crossing;
        x.result = &s;
        detail::long_target = s.rip;
        x.flags = s.rflags;
        for (int n = 0; n < 16; ++n) x.gpr[n] = s.gpr[n];
        // RAX points to the record until it is loaded itself, last but one.
        asm volatile(
            "sub $256, %%rsp\n push %%rbp\n push %%rbx\n"
            "mov %%rsp, 136(%%rax)\n lea 1f(%%rip), %%rcx\n mov %%rcx, 144(%%rax)\n"
            "pushq 152(%%rax)\n popfq\n"
            "mov 8(%%rax), %%rcx\n mov 16(%%rax), %%rdx\n mov 24(%%rax), %%rbx\n mov 40(%%rax), %%rbp\n"
            "mov 48(%%rax), %%rsi\n mov 56(%%rax), %%rdi\n mov 64(%%rax), %%r8\n mov 72(%%rax), %%r9\n"
            "mov 80(%%rax), %%r10\n mov 88(%%rax), %%r11\n mov 96(%%rax), %%r12\n mov 104(%%rax), %%r13\n"
            "mov 112(%%rax), %%r14\n mov 120(%%rax), %%r15\n mov 32(%%rax), %%rsp\n"
            "mov (%%rax), %%rax\n jmp *backplane_test_long_target(%%rip)\n"
            "1: pop %%rbx\n pop %%rbp\n add $256, %%rsp\n cld\n"
            :
            : "a"(&x)
            : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    }

  private:
    static constexpr std::size_t kStack = 1u << 16;
    std::unique_ptr<char[]> stack_{new char[kStack]};
    struct sigaction old_[HostProcessor::kSignals] {};
};

}  // namespace backplane::interp::test
