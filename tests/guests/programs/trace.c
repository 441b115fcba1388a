// A process that is traced: single steps counted, breakpoints and watchpoints in the debug registers.
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proof.h"

#ifdef __x86_64__
#define IP rip
#define A rax
#define FLAGS eflags
#else
#define IP eip
#define A eax
#define FLAGS eflags
#endif

// Stepped through from the first INT3 to the second; REP, POPF, prefixes, branches, a system call.
void traced(void);
extern uint8_t traced_middle[], traced_word[];
__asm__(
    ".text\n.globl traced\ntraced:\n"
#ifdef __x86_64__
    "int3\n push %rbx\n mov $5, %ecx\n xor %eax, %eax\n"
    "1: add %ecx, %eax\n loop 1b\n"
    "lea traced_word, %rdi\n mov $3, %ecx\n cld\n rep stosb\n"
    "pushf\n orl $1, (%rsp)\n popf\n adc $0, %eax\n"
    "mov $39, %eax\n syscall\n xor %eax, %eax\n"
    "traced_middle: movl $0x1234, traced_word\n nop\n mov traced_word, %edx\n rep stosl\n"
    "mov $2, %ecx\n lea traced_word, %rsi\n lea traced_word, %rdi\n rep movsb\n"
    "mov %ss, %eax\n mov %eax, %ss\n nop\n xor %eax, %eax\n pop %rbx\n int3\n ret\n"
#else
    "int3\n push %ebx\n mov $5, %ecx\n xor %eax, %eax\n"
    "1: add %ecx, %eax\n loop 1b\n"
    "lea traced_word, %edi\n mov $3, %ecx\n cld\n rep stosb\n"
    "pushf\n orl $1, (%esp)\n popf\n adc $0, %eax\n"
    "mov $20, %eax\n int $0x80\n xor %eax, %eax\n"
    "traced_middle: movl $0x1234, traced_word\n nop\n mov traced_word, %edx\n rep stosl\n"
    "mov $2, %ecx\n lea traced_word, %esi\n lea traced_word, %edi\n rep movsb\n"
    "mov %ss, %eax\n mov %eax, %ss\n nop\n xor %eax, %eax\n pop %ebx\n int3\n ret\n"
#endif
    ".data\n.balign 16\ntraced_word: .quad 0, 0\n.text\n");

static pid_t start(void) {
    const pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(1);
        traced();
        _exit(9);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) die("traced process");
    return child;
}
static void registers(digest* d, pid_t child, int* at_end) {
    struct user_regs_struct r;
    if (ptrace(PTRACE_GETREGS, child, 0, &r) != 0) die("registers");
    const word ip = r.IP - (word)traced;
    add(d, ip);
    add(d, r.FLAGS & 0x100);
    if (at_end != 0) *at_end = ip == 0 || ip > 4096;
}
static word debug_register(pid_t child, int n) {
    return (word)ptrace(PTRACE_PEEKUSER, child, offsetof(struct user, u_debugreg) + (word)n * sizeof(word), 0);
}
static void set_debug_register(pid_t child, int n, word value) {
    if (ptrace(PTRACE_POKEUSER, child, offsetof(struct user, u_debugreg) + (word)n * sizeof(word), value) != 0)
        die("debug register");
}

static void steps(digest* d) {
    const pid_t child = start();
    int status = 0;
    unsigned count = 0;
    registers(d, child, 0);
    while (count < 1000) {
        siginfo_t info;
        if (ptrace(PTRACE_SINGLESTEP, child, 0, 0) != 0) die("step");
        waitpid(child, &status, 0);
        if (!WIFSTOPPED(status)) break;
        memset(&info, 0, sizeof info);
        ptrace(PTRACE_GETSIGINFO, child, 0, &info);
        ++count;
        int at_end = 0;
        registers(d, child, &at_end);
        add(d, (uint64_t)info.si_code);
        if (each_case) {
            struct user_regs_struct r;
            ptrace(PTRACE_GETREGS, child, 0, &r);
            say("step %u at %lx code %d", count, (unsigned long)(r.IP - (word)traced), info.si_code);
        }
        // The second INT3.
        if (info.si_code == SI_KERNEL) break;
    }
    add(d, count);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

static void breakpoints(digest* d) {
    const pid_t child = start();
    int status = 0;
    set_debug_register(child, 0, (word)traced_middle);
    set_debug_register(child, 1, (word)traced_word);
    set_debug_register(child, 2, (word)traced_word + 2);
    // DR0: execution; DR1: writes of 2 bytes; DR2: reads and writes of 1 byte.
    set_debug_register(child, 7, 0x15 | 5u << 20 | 3u << 24);
    for (unsigned n = 0; n < 40; ++n) {
        if (ptrace(PTRACE_CONT, child, 0, 0) != 0) die("go on");
        waitpid(child, &status, 0);
        add(d, (uint64_t)status);
        if (!WIFSTOPPED(status)) break;
        siginfo_t info;
        memset(&info, 0, sizeof info);
        ptrace(PTRACE_GETSIGINFO, child, 0, &info);
        add(d, (uint64_t)info.si_code);
        const word why = debug_register(child, 6) & 0xf;
        add(d, why);
        registers(d, child, 0);
        if (each_case) {
            struct user_regs_struct r;
            ptrace(PTRACE_GETREGS, child, 0, &r);
            say("stop %u at %lx code %d why %lx", n, (unsigned long)(r.IP - (word)traced), info.si_code, why);
        }
        set_debug_register(child, 6, 0);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}

const struct group trace_groups[] = {{"steps", steps, kAlways}, {"breakpoints", breakpoints, kAlways}, {0, 0, kAlways}};
