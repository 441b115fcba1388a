// Runs one instruction on the host's own processor with all general and all vector registers, in 64-bit mode. Test
// support only; single-threaded.
#pragma once

#include <cpuid.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace backplane::interp::vex_test {

// What a host needs for a comparison with it; the names of what it lacks.
inline std::string host_lacks() {
    std::string lacks;
    unsigned a = 0, b = 0, c = 0, d = 0;
    __get_cpuid(1, &a, &b, &c, &d);
    const auto need = [&lacks](unsigned word, unsigned bit, const char* name) {
        if ((word >> bit & 1u) == 0) lacks += (lacks.empty() ? "" : ", ") + std::string(name);
    };
    need(c, 27, "XSAVE");
    need(c, 28, "AVX");
    need(c, 12, "FMA");
    need(c, 29, "F16C");
    __get_cpuid_count(7, 0, &a, &b, &c, &d);
    need(b, 3, "BMI1");
    need(b, 5, "AVX2");
    need(b, 8, "BMI2");
    need(b, 19, "ADX");
    return lacks;
}

struct HostState {
    alignas(32) std::uint8_t ymm[16][32] = {};
    std::uint64_t gpr[16] = {};    // 200h; RSP and R15 are not loaded
    std::uint64_t flags = 0x202;   // 280h
    std::uint32_t mxcsr = 0x1f80;  // 288h
    std::uint32_t own = 0x1f80;    // 28Ch: the test's own
    std::uint32_t vector = 0;      // of the exception that it ended in
    bool fault = false;
};
static_assert(offsetof(HostState, gpr) == 0x200 && offsetof(HostState, own) == 0x28c);

inline HostState* running = nullptr;
inline std::uint64_t resume_at = 0;

inline void on_signal(int, siginfo_t*, void* context) {
    auto* u = static_cast<ucontext_t*>(context);
    running->fault = true;
    running->vector = static_cast<std::uint32_t>(u->uc_mcontext.gregs[REG_TRAPNO]);
    u->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(resume_at);
}

class HostInstruction {
  public:
    HostInstruction() {
        page_ = static_cast<std::uint8_t*>(
            mmap(nullptr, kCapacity, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (page_ == MAP_FAILED) throw std::runtime_error("no executable memory");
        struct sigaction action {};
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        for (std::size_t n = 0; n < kSignals; ++n) sigaction(kNumbers[n], &action, &old_[n]);
    }
    HostInstruction(const HostInstruction&) = delete;
    HostInstruction& operator=(const HostInstruction&) = delete;
    ~HostInstruction() {
        munmap(page_, kCapacity);
        for (std::size_t n = 0; n < kSignals; ++n) sigaction(kNumbers[n], &old_[n], nullptr);
    }

    void set(const std::uint8_t* bytes, std::size_t size) {
        size_ = 0;
        append({0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57});  // push rbx, rbp, r12 to r15
        append({0x49, 0x89, 0xff});                                            // mov r15, rdi
        for (unsigned n = 0; n < 16; ++n) vector(0x6f, n);
        append({0x41, 0x0f, 0xae, 0x97, 0x88, 2, 0, 0});  // ldmxcsr [r15+288h]
        append({0x41, 0xff, 0xb7, 0x80, 2, 0, 0, 0x9d});  // push [r15+280h]; popfq
        for (unsigned n = 0; n < 15; ++n) general(0x8b, n);
        for (std::size_t n = 0; n < size; ++n) append({bytes[n]});
        after_ = size_;
        for (unsigned n = 0; n < 15; ++n) general(0x89, n);
        append({0x9c, 0x41, 0x8f, 0x87, 0x80, 2, 0, 0});  // pushfq; pop [r15+280h]
        append({0x41, 0x0f, 0xae, 0x9f, 0x88, 2, 0, 0});  // stmxcsr [r15+288h]
        append({0x41, 0x0f, 0xae, 0x97, 0x8c, 2, 0, 0});  // ldmxcsr [r15+28Ch]
        for (unsigned n = 0; n < 16; ++n) vector(0x7f, n);
        append({0xc5, 0xf8, 0x77, 0xfc});  // vzeroupper; cld
        append({0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3});
    }
    void run(HostState& s) {
        running = &s;
        s.fault = false;
        resume_at = reinterpret_cast<std::uint64_t>(page_) + after_;
        void (*call)(HostState*) = nullptr;
        std::memcpy(&call, &page_, sizeof call);
        call(&s);
    }

  private:
    static constexpr std::size_t kCapacity = 4096;
    static constexpr std::size_t kSignals = 5;
    static constexpr int kNumbers[kSignals] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};

    void append(std::initializer_list<std::uint8_t> bytes) {
        for (const std::uint8_t b : bytes) page_[size_++] = b;
    }
    // VMOVDQU between ymm n and [r15 + 32 * n]
    void vector(std::uint8_t opcode, unsigned n) {
        append({0xc4, static_cast<std::uint8_t>(n < 8 ? 0xc1 : 0x41), 0x7e, opcode,
                static_cast<std::uint8_t>(0x87 | (n & 7u) << 3), static_cast<std::uint8_t>(n * 32),
                static_cast<std::uint8_t>(n * 32 >> 8), 0, 0});
    }
    // MOV between register n and [r15 + 200h + 8 * n]
    void general(std::uint8_t opcode, unsigned n) {
        if (n == 4) return;
        append({static_cast<std::uint8_t>(n < 8 ? 0x49 : 0x4d), opcode, static_cast<std::uint8_t>(0x87 | (n & 7u) << 3),
                static_cast<std::uint8_t>(n * 8), 2, 0, 0});
    }

    std::uint8_t* page_ = nullptr;
    std::size_t size_ = 0;
    std::size_t after_ = 0;
    struct sigaction old_[kSignals] {};
};

}  // namespace backplane::interp::vex_test
