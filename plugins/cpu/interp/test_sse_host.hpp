// Runs one instruction of the SSE family on the host's own processor, in 64-bit mode: legacy encodings without REX mean
// the same there, and [ESI] is [RSI]. Test support only; single-threaded.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <stdexcept>

namespace backplane::interp::sse_test {

// The FXSAVE image and the general registers.
struct HostState {
    alignas(16) std::uint8_t fx[512] = {};
    std::uint64_t gpr[8] = {};     // 200h: RAX RCX RDX RBX RSP (not loaded) RBP RSI RDI
    std::uint64_t flags = 0x202;   // 240h
    std::uint32_t mxcsr = 0x1f80;  // 248h: the test's own
    std::uint32_t vector = 0;      // of the exception that the instruction ended in
    bool fault = false;
};
static_assert(offsetof(HostState, gpr) == 0x200 && offsetof(HostState, mxcsr) == 0x248);

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
    static constexpr std::size_t kCapacity = 4096;

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
        append({0x53, 0x55, 0x41, 0x57, 0x49, 0x89, 0xff});  // push rbx; push rbp; push r15; mov r15, rdi
        append({0x41, 0x0f, 0xae, 0x0f});                    // fxrstor [r15]
        append({0x41, 0xff, 0xb7, 0x40, 2, 0, 0, 0x9d});     // push [r15+240h]; popfq
        for (const std::uint8_t n : kLoaded) {
            append({0x49, 0x8b, static_cast<std::uint8_t>(0x87 | n << 3), static_cast<std::uint8_t>(n * 8), 2, 0, 0});
        }
        for (std::size_t n = 0; n < size; ++n) append({bytes[n]});
        after_ = size_;
        for (const std::uint8_t n : kLoaded) {
            append({0x49, 0x89, static_cast<std::uint8_t>(0x87 | n << 3), static_cast<std::uint8_t>(n * 8), 2, 0, 0});
        }
        append({0x41, 0x0f, 0xae, 0x07});                 // fxsave [r15]
        append({0x9c, 0x41, 0x8f, 0x87, 0x40, 2, 0, 0});  // pushfq; pop [r15+240h]
        append({0xdb, 0xe3});                             // fninit
        append({0x41, 0x0f, 0xae, 0x97, 0x48, 2, 0, 0});  // ldmxcsr [r15+248h]
        append({0xfc, 0x41, 0x5f, 0x5d, 0x5b, 0xc3});     // cld; pop r15; pop rbp; pop rbx; ret
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
    static constexpr std::uint8_t kLoaded[] = {0, 1, 2, 3, 5, 6, 7};
    static constexpr std::size_t kSignals = 5;
    static constexpr int kNumbers[kSignals] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};

    void append(std::initializer_list<std::uint8_t> bytes) {
        for (const std::uint8_t b : bytes) page_[size_++] = b;
    }

    std::uint8_t* page_ = nullptr;
    std::size_t size_ = 0;
    std::size_t after_ = 0;
    struct sigaction old_[kSignals] {};
};

}  // namespace backplane::interp::sse_test
