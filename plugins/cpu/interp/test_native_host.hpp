// Runs 32-bit user code on the host's own processor: compatibility mode in a 64-bit process, entered by a far jump,
// left by whatever exception the code ends in (the code is followed by INT3). Test support only; single-threaded.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <cstddef>

#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace backplane::interp::test {

// Registers in the order EAX ECX EDX EBX ESP EBP ESI EDI.
struct UserState {
    std::uint32_t gpr[8] = {};
    std::uint32_t eip = 0;
    std::uint32_t eflags = 0x202;
    // How it ended.
    std::uint32_t vector = 0;
    std::uint32_t error = 0;
    std::uint32_t cr2 = 0;
};

namespace detail {
struct FarPointer {
    std::uint32_t offset;
    std::uint16_t selector;
} __attribute__((packed));
struct Crossing {
    std::uint64_t saved_rsp = 0;
    std::uint64_t resume = 0;
    FarPointer target{0, 0x23};
    UserState* result = nullptr;
    std::uint64_t gpr[8] = {};
    std::uint64_t flags = 0;
};
inline Crossing crossing;
inline char signal_stack[1 << 16];

inline void on_signal(int, siginfo_t*, void* context) {
    auto* u = static_cast<ucontext_t*>(context);
    greg_t* r = u->uc_mcontext.gregs;
    UserState& s = *crossing.result;
    static constexpr int kOrder[8] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI};
    for (int n = 0; n < 8; ++n) s.gpr[n] = static_cast<std::uint32_t>(r[kOrder[n]]);
    s.eip = static_cast<std::uint32_t>(r[REG_RIP]);
    s.eflags = static_cast<std::uint32_t>(r[REG_EFL]);
    s.vector = static_cast<std::uint32_t>(r[REG_TRAPNO]);
    s.error = static_cast<std::uint32_t>(r[REG_ERR]);
    s.cr2 = static_cast<std::uint32_t>(r[REG_CR2]);
    r[REG_RIP] = static_cast<greg_t>(crossing.resume);
    r[REG_RSP] = static_cast<greg_t>(crossing.saved_rsp);
    r[REG_EFL] = 0x202;
    r[REG_CSGSFS] = (r[REG_CSGSFS] & ~0xffffll) | 0x33;
}
}  // namespace detail

class HostProcessor {
  public:
    HostProcessor() {
        stack_t stack{};
        stack.ss_sp = detail::signal_stack;
        stack.ss_size = sizeof detail::signal_stack;
        sigaltstack(&stack, nullptr);
        struct sigaction action {};
        action.sa_sigaction = detail::on_signal;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        for (std::size_t n = 0; n < kSignals; ++n) sigaction(kNumbers[n], &action, &old_[n]);
    }
    HostProcessor(const HostProcessor&) = delete;
    HostProcessor& operator=(const HostProcessor&) = delete;
    ~HostProcessor() {
        for (std::size_t n = 0; n < kSignals; ++n) sigaction(kNumbers[n], &old_[n], nullptr);
    }

    // From the state given to the exception that ends it. On its own, so that its operands are addressed without the
    // registers that it loads.
    [[gnu::noinline]] void run(UserState& s) {
        detail::Crossing& x = detail::crossing;
        x.result = &s;
        x.target.offset = s.eip;
        x.flags = s.eflags;
        for (int n = 0; n < 8; ++n) x.gpr[n] = s.gpr[n];
        asm volatile(
            "mov $0x2b, %%eax\n mov %%eax, %%ds\n mov %%eax, %%es\n"
            "sub $256, %%rsp\n push %%rbp\n push %%rbx\n"
            "mov %%rsp, %[rsp]\n lea 1f(%%rip), %%rax\n mov %%rax, %[resume]\n"
            "push %[flags]\n popfq\n"
            "mov %[ax], %%rax\n mov %[cx], %%rcx\n mov %[dx], %%rdx\n mov %[bx], %%rbx\n"
            "mov %[bp], %%rbp\n mov %[si], %%rsi\n mov %[di], %%rdi\n mov %[sp], %%rsp\n"
            "ljmp *%[target]\n"
            "1: pop %%rbx\n pop %%rbp\n add $256, %%rsp\n cld\n"
            : [rsp] "=m"(x.saved_rsp), [resume] "=m"(x.resume)
            : [flags] "m"(x.flags), [ax] "m"(x.gpr[0]), [cx] "m"(x.gpr[1]), [dx] "m"(x.gpr[2]), [bx] "m"(x.gpr[3]),
              [sp] "m"(x.gpr[4]), [bp] "m"(x.gpr[5]), [si] "m"(x.gpr[6]), [di] "m"(x.gpr[7]), [target] "m"(x.target)
            : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    }

    static constexpr std::size_t kSignals = 5;
    static constexpr int kNumbers[kSignals] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
    struct sigaction old_[kSignals] {};
};

// A fixed low range of host memory, so that guest and host addresses are equal.
class LowMemory {
  public:
    LowMemory(std::uint32_t address, std::size_t size, int protection) : size_(size) {
        void* at = reinterpret_cast<void*>(static_cast<std::uintptr_t>(address));
        data_ = static_cast<std::uint8_t*>(
            mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
        if (data_ == MAP_FAILED) throw std::runtime_error("the low address range is in use");
    }
    LowMemory(const LowMemory&) = delete;
    LowMemory& operator=(const LowMemory&) = delete;
    ~LowMemory() { munmap(data_, size_); }
    std::uint8_t* data() { return data_; }

  private:
    std::uint8_t* data_ = nullptr;
    std::size_t size_;
};

}  // namespace backplane::interp::test
