// What the kernel does with the processor: threads, processes, page faults, signals, code that changes.
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proof.h"

enum { kPage = 4096 };

// --- threads
// ----------------------------------------------------------------------------------------------------------

enum { kThreads = 4, kTurns = 2000 };
static uint32_t sum, swapped, bits_set;
static uint64_t wide_sum;
static unsigned turn, guarded;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static __thread uint32_t own;

static void* work(void* argument) {
    const unsigned me = (unsigned)(word)argument;
    for (unsigned n = 0; n < kTurns; ++n) {
        __atomic_fetch_add(&sum, me * n, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&wide_sum, (uint64_t)n << 20 | me, __ATOMIC_SEQ_CST);
        __atomic_fetch_or(&bits_set, 1u << (n + me) % 32, __ATOMIC_SEQ_CST);
        uint32_t old = __atomic_load_n(&swapped, __ATOMIC_SEQ_CST);
        while (!__atomic_compare_exchange_n(&swapped, &old, old + 3, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {}
        own += n;
        pthread_mutex_lock(&mutex);
        ++guarded;
        pthread_mutex_unlock(&mutex);
    }
    // In turn, each waking the others.
    for (unsigned n = 0; n < 20; ++n) {
        pthread_mutex_lock(&mutex);
        while (turn % kThreads != me) pthread_cond_wait(&changed, &mutex);
        ++turn;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return (void*)(word)own;
}
static void threads(digest* d) {
    pthread_t all[kThreads];
    for (unsigned n = 0; n < kThreads; ++n) {
        if (pthread_create(&all[n], 0, work, (void*)(word)n) != 0) die("thread");
    }
    for (unsigned n = 0; n < kThreads; ++n) {
        void* result = 0;
        pthread_join(all[n], &result);
        add(d, (word)result);
    }
    add(d, sum);
    add(d, wide_sum);
    add(d, swapped);
    add(d, bits_set);
    add(d, guarded);
    add(d, turn);
    add(d, own);
}

// --- page faults
// ------------------------------------------------------------------------------------------------------

static sigjmp_buf back;
static volatile int fault_code;
static void* volatile fault_address;
static void on_fault(int number, siginfo_t* info, void* context) {
    (void)context;
    fault_code = number << 8 | info->si_code;
    fault_address = info->si_addr;
    siglongjmp(back, 1);
}
static void on_faults(void (*handler)(int, siginfo_t*, void*)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    if (handler == 0) action.sa_handler = SIG_DFL;
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
}
static void touch(digest* d, uint8_t* base, volatile uint8_t* at, int write) {
    fault_code = 0;
    if (sigsetjmp(back, 1) == 0) {
        if (write) *at = (uint8_t)(*at + 1);
        add(d, *at);
    } else {
        add(d, (uint64_t)((uint8_t*)fault_address - base));
    }
    add(d, (uint64_t)fault_code);
}
static void memory(digest* d) {
    on_faults(on_fault);
    uint8_t* p = mmap(0, 16 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) die("mmap");
    for (int n = 0; n < 16 * kPage; ++n) p[n] = (uint8_t)(n * 7 + (n >> 8));
    static const int kKinds[] = {PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE};
    for (int round = 0; round < 9; ++round) {
        for (int n = 0; n < 16; ++n) mprotect(p + n * kPage, kPage, kKinds[(n * 5 + round * (n + 1)) % 3]);
        for (int n = 0; n < 16; ++n) {
            touch(d, p, p + n * kPage + 17, 0);
            touch(d, p, p + n * kPage + 4095, 1);
        }
    }
    mprotect(p, 16 * kPage, PROT_READ | PROT_WRITE);
    munmap(p + 3 * kPage, 2 * kPage);
    touch(d, p, p + 3 * kPage + 5, 0);
    touch(d, p, p + 5 * kPage, 1);
    // Over the edge of two pages, the second read-only: nothing is written.
    mprotect(p + 8 * kPage, kPage, PROT_READ);
    fault_code = 0;
    if (sigsetjmp(back, 1) == 0) *(volatile uint32_t*)(p + 8 * kPage - 2) = 0x12345678;
    add(d, (uint64_t)fault_code);
    add_bytes(d, p + 8 * kPage - 16, 32);
    uint8_t* moved = mremap(p + 12 * kPage, kPage, 3 * kPage, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED) die("mremap");
    add_bytes(d, moved, 3 * kPage);
    const int file = memfd_create("shared", 0);
    if (file < 0 || ftruncate(file, kPage) != 0) die("memfd");
    uint8_t* one = mmap(0, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    const uint8_t* two = mmap(0, kPage, PROT_READ, MAP_SHARED, file, 0);
    for (int n = 0; n < kPage; n += 3) one[n] = (uint8_t)(n ^ n >> 4);
    add_bytes(d, two, kPage);
    touch(d, one, one + kPage + 9, 0);  // beyond the file: SIGBUS
    touch(d, one, (uint8_t*)two, 0);
    close(file);
    on_faults(0);
}

// --- signals
// ----------------------------------------------------------------------------------------------------------

static volatile int order[16], order_size;
static volatile sig_atomic_t ticks;
static void on_user(int number) {
    if (order_size < 16) order[order_size++] = number;
    if (number == SIGUSR1) raise(SIGUSR2);  // comes in between
    if (order_size < 16) order[order_size++] = -number;
}
static void on_tick(int number) {
    (void)number;
    ++ticks;
}
static void signals(digest* d) {
    signal(SIGUSR1, on_user);
    signal(SIGUSR2, on_user);
    raise(SIGUSR1);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    add(d, (uint64_t)order_size);
    sigprocmask(SIG_SETMASK, &old, 0);
    for (int n = 0; n < 16; ++n) add(d, (uint64_t)order[n]);
    // A computation that a timer interrupts keeps its registers, those of the floating-point unit among them.
    signal(SIGALRM, on_tick);
    const struct itimerval often = {{0, 2000}, {0, 2000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, 0);
    long double x = 1;
    uint32_t y = 1;
    unsigned n = 0;
    for (; n < 100000 || ticks < 5; ++n) {
        if (n == 100000) {
            add_bytes(d, &x, 10);
            add(d, y);
        }
        x = x * 1.0000001L + 1 / (x + 3);
        y = y * 1664525 + 1013904223;
    }
    if (n == 100000) {
        add_bytes(d, &x, 10);
        add(d, y);
    }
    setitimer(ITIMER_REAL, &never, 0);
}

// --- processes
// --------------------------------------------------------------------------------------------------------

static void processes(digest* d) {
    static uint32_t values[4 * kPage / 4];
    for (unsigned n = 0; n < 4 * kPage / 4; ++n) values[n] = n * 2654435761u;
    for (unsigned n = 0; n < 4; ++n) {
        int ends[2];
        if (pipe(ends) != 0) die("pipe");
        const pid_t child = fork();
        if (child == 0) {
            // Copied on write: the parent sees nothing of it.
            digest own_digest = 0;
            for (unsigned k = n; k < 4 * kPage / 4; k += 5) values[k] += n;
            add_bytes(&own_digest, values, sizeof values);
            if (write(ends[1], &own_digest, 8) != 8) _exit(1);
            if (n == 2) __builtin_trap();
            static volatile int* volatile nowhere = (volatile int*)16;
            if (n == 3) *nowhere = 1;
            _exit((int)n + 7);
        }
        digest got = 0;
        if (read(ends[0], &got, 8) != 8) die("read");
        int status = 0;
        waitpid(child, &status, 0);
        add(d, got);
        add(d, (uint64_t)(status & ~0x80));  // whether a core is written is the host's affair
        close(ends[0]);
        close(ends[1]);
    }
    add_bytes(d, values, sizeof values);
    const pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "proof", "child", (char*)0);
        _exit(1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    add(d, (uint64_t)status);
}

// --- code that changes
// ------------------------------------------------------------------------------------------------

static uint32_t call(const void* code) {
    uint32_t (*f)(void);
    memcpy(&f, &code, sizeof f);
    return f();
}
static void code(digest* d) {
    const int file = memfd_create("code", 0);
    if (file < 0 || ftruncate(file, 2 * kPage) != 0) die("memfd");
    uint8_t* run = mmap(0, 2 * kPage, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, file, 0);
    uint8_t* alias = mmap(0, 2 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (run == MAP_FAILED || alias == MAP_FAILED) die("mmap");
    // MOV EAX, n; RET, over the edge of the pages too; the number changes through either mapping.
    for (int at = kPage - 8; at < kPage + 2; ++at) {
        for (uint32_t n = 0; n < 40; ++n) {
            uint8_t* to = (n & 1 ? run : alias) + at;
            const uint32_t value = n * 0x01020305;
            to[0] = 0xb8;
            memcpy(to + 1, &value, 4);
            to[5] = 0xc3;
            add(d, call(run + at));
            if (n % 3 == 0) {
                to[2] ^= 0xff;
                add(d, call(run + at));
            }
        }
    }
    // Writes an instruction that comes next: MOV BYTE [next + 1], CL; next: MOV AL, 0 in a loop of ECX = 20.
    // B9 20; 31 D2; L: 88 0D/88 0C 25; B0 00; 00 C2 (ADD DL, AL); E2 (LOOP L); 88 D0 (MOV AL, DL); C3
    uint8_t* p = run;
    const uint8_t head[] = {0xb9, 20, 0, 0, 0, 0x31, 0xd2, 0x31, 0xc0};
    memcpy(p, head, sizeof head);
    p += sizeof head;
    uint8_t* loop = p;
    *p++ = 0x88;
    *p++ = 0x0d;
    // To the byte after B0: relative to the next instruction in 64-bit mode, absolute in 32-bit mode.
    const uint32_t to = sizeof(word) == 8 ? 1u : (uint32_t)(word)(p + 4 + 1);
    memcpy(p, &to, 4);
    p += 4;
    *p++ = 0xb0;
    *p++ = 0;
    *p++ = 0x00;
    *p++ = 0xc2;
    *p++ = 0xe2;
    *p = (uint8_t)(loop - (p + 1));
    ++p;
    *p++ = 0x0f;  // MOVZX EAX, DL
    *p++ = 0xb6;
    *p++ = 0xc2;
    *p = 0xc3;
    for (int n = 0; n < 5; ++n) add(d, call(run));
    munmap(alias, 2 * kPage);
    munmap(run, 2 * kPage);
    close(file);
}

const struct group system_groups[] = {{"threads", threads, kAlways}, {"memory", memory, kAlways},
                                      {"signals", signals, kAlways}, {"processes", processes, kAlways},
                                      {"code", code, kAlways},       {0, 0, kAlways}};
