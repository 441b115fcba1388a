// The kernel keeps the whole vector registers apart for threads and signals' handlers: it has to use XSAVE.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "proof.h"

enum { kThreads = 3, kTurns = 1500 };

static volatile sig_atomic_t spoiled;
static void spoil(int number) {
    (void)number;
    asm volatile("vzeroall" ::: "memory");
    ++spoiled;
}

#define EACH_REGISTER(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define LOAD(n) "vmovdqu " #n "*32(%[from]), %%ymm" #n "\n"
#define STORE(n) "vmovdqu %%ymm" #n ", " #n "*32(%[to])\n"

// All registers over a call of the kernel: another thread's turn, or a signal to itself.
static void over_call(const uint8_t* from, uint8_t* to, long call, long a, long b, long c) {
    long result;
    asm volatile(EACH_REGISTER(LOAD) "syscall\n" EACH_REGISTER(STORE) "vzeroupper\n"
                 : "=a"(result)
                 : "a"(call), "D"(a), "S"(b), "d"(c), [from] "r"(from), [to] "r"(to)
                 : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    if (result != 0) die("call");
}

static void* work(void* argument) {
    const unsigned me = (unsigned)(word)argument;
    uint8_t from[512], to[512];
    word wrong = 0;
    for (unsigned n = 0; n < kTurns; ++n) {
        for (unsigned k = 0; k < sizeof from; ++k) from[k] = (uint8_t)(me * 77 + n * 13 + k * 7 + 1);
        if (n % 5 == me)
            over_call(from, to, SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
        else
            over_call(from, to, SYS_sched_yield, 0, 0, 0);
        if (memcmp(from, to, sizeof from) != 0) ++wrong;
    }
    return (void*)wrong;
}

static void run_state(digest* d) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = spoil;
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGALRM, &action, 0);
    struct itimerval often = {{0, 3000}, {0, 3000}};
    setitimer(ITIMER_REAL, &often, 0);
    pthread_t all[kThreads];
    for (unsigned n = 0; n < kThreads; ++n) {
        if (pthread_create(&all[n], 0, work, (void*)(word)n) != 0) die("thread");
    }
    for (unsigned n = 0; n < kThreads; ++n) {
        void* wrong = 0;
        pthread_join(all[n], &wrong);
        add(d, (word)wrong);
    }
    memset(&often, 0, sizeof often);
    setitimer(ITIMER_REAL, &often, 0);
    action.sa_handler = SIG_DFL;
    sigaction(SIGUSR1, &action, 0);
    sigaction(SIGALRM, &action, 0);
    add(d, spoiled != 0);
}

const struct group avx_groups[] = {{"avx-state", run_state, kAvx}, {0, 0, kAlways}};
