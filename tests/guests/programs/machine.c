// Runs every case of a group on many random states and hashes what is left. A case that ends in an exception is hashed
// with what the signal's handler sees.
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "proof.h"

struct state {
    uint8_t fx[512];
    word gpr[16];
    word flags;
};
_Static_assert(offsetof(struct state, gpr) == 512, "run.S knows the layout");

enum { kRegisters = sizeof(word) == 8 ? 16 : 8, kArea = 256, kPage = 4096, kRounds = 24 };

// The image that a case itself may make lies behind (long.S).
struct {
    struct state state;
    uint8_t more[2048 - sizeof(struct state)];
} state __attribute__((aligned(64)));
// The last of its page; what follows is not there.
uint8_t area[kPage] __attribute__((aligned(4096)));
uint8_t beyond[kPage] __attribute__((aligned(4096)));
int has_sse;
static int uses_uppers;

void run_case(word code);
extern uint8_t leave_fault[];
extern word saved_stack;

struct entry {
    uint32_t code, name, mask;
};
#define EACH_GROUP(X) \
    X(integer)        \
    X(string) X(x87) X(functions) X(mmx) X(sse) X(sse2) X(sse3) X(ssse3) X(sse4_1) X(sse4_2) X(popcnt) X(aes) X(pclmul)
#define BOUNDS(name) extern const struct entry __start_cases_##name[], __stop_cases_##name[];
EACH_GROUP(BOUNDS)
#ifdef __x86_64__
BOUNDS(long)
BOUNDS(sse_long)
BOUNDS(sse4_long)
BOUNDS(avx)
BOUNDS(avx2)
BOUNDS(fma)
BOUNDS(f16c)
BOUNDS(vex_aes)
BOUNDS(bmi1)
BOUNDS(bmi2)
BOUNDS(adx)
// Upper halves of the vector registers behind a case (avx.S).
extern uint8_t uppers[256];
#else
static uint8_t uppers[256];
#endif
#ifndef __x86_64__
BOUNDS(only32)
#endif

static struct {
    int happened;
    uint32_t vector, error, signal, code;
    word address, instruction;
} fault;

static void on_signal(int number, siginfo_t* info, void* context) {
    ucontext_t* u = context;
    greg_t* r = u->uc_mcontext.gregs;
    struct state* s = &state.state;
    fault.happened = 1;
    fault.vector = (uint32_t)r[REG_TRAPNO];
    fault.error = (uint32_t)r[REG_ERR];
    fault.signal = (uint32_t)number;
    fault.code = (uint32_t)info->si_code;
    fault.address = (word)info->si_addr;
#ifdef __x86_64__
    static const int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                   REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    enum { kAt = REG_RIP, kStack = REG_RSP };
    const uint8_t* fx = (const uint8_t*)u->uc_mcontext.fpregs;
#else
    static const int kOrder[8] = {REG_EAX, REG_ECX, REG_EDX, REG_EBX, REG_ESP, REG_EBP, REG_ESI, REG_EDI};
    enum { kAt = REG_EIP, kStack = REG_ESP };
    // The image of FXSAVE follows the one of FSAVE, which has 112 bytes.
    const uint8_t* fx = (const uint8_t*)u->uc_mcontext.fpregs + 112;
#endif
#ifdef __x86_64__
    // Behind the image of FXSAVE follows the rest of XSAVE's, if the kernel says so; a component that is not there is
    // zero.
    uint32_t magic;
    uint64_t components;
    memcpy(&magic, fx + 464, 4);
    memcpy(&components, fx + 512, 8);
    memset(uppers, 0, sizeof uppers);
    if (magic == 0x46505853 && (components & 4) != 0 && uses_uppers) memcpy(uppers, fx + 576, sizeof uppers);
#endif
    for (int n = 0; n < kRegisters; ++n) s->gpr[n] = (word)r[kOrder[n]];
    s->flags = (word)r[REG_EFL];
    fault.instruction = (word)r[kAt];
    memcpy(s->fx, fx, 512);
    r[kAt] = (greg_t)leave_fault;
    r[kStack] = (greg_t)saved_stack;
    r[REG_EFL] = 0x202;
}

static uint64_t seed;
static uint64_t bits(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1du;
}
static unsigned below(unsigned limit) { return (unsigned)(bits() >> 33) % limit; }

static uint64_t whole(void) {
    static const uint64_t kEdges[] = {0,
                                      1,
                                      0x7f,
                                      0x80,
                                      0xff,
                                      0x7fff,
                                      0x8000,
                                      0xffff,
                                      0x7fffffff,
                                      0x80000000u,
                                      0xffffffffu,
                                      0x7fffffffffffffffu,
                                      0x8000000000000000u,
                                      0xffffffffffffffffu};
    if (below(3) == 0) return kEdges[below(14)];
    return bits() >> (below(3) == 0 ? below(64) : 0);
}
static uint32_t single(void) {
    const uint32_t sign = (uint32_t)(bits() >> 63) << 31, m = (uint32_t)(bits() >> 41);
    switch (below(10)) {
        case 0: return sign;
        case 1: return sign | m;
        case 2: return sign | 0x7f800000u | (below(2) ? m : 0);
        case 3: return sign | 0x00800000u | m;
        case 4: return sign | 0x7f000000u | m;
        case 5: return sign | (below(70) + 92) << 23 | m;
        case 6: return sign | (below(40) + 50) << 23 | m;
        case 7: return sign | (below(4) + 126) << 23 | (m & 0x600000u);
        default: return sign | (below(8) + 124) << 23 | m;
    }
}
static uint64_t wide(void) {
    const uint64_t sign = bits() & 0x8000000000000000u, m = bits() >> 12;
    unsigned e;
    switch (below(10)) {
        case 0: return sign;
        case 1: return sign | m;
        case 2: return sign | 0x7ffull << 52 | (below(2) ? m : 0);
        case 3: e = 1; break;
        case 4: e = 0x7fe; break;
        case 5: e = 1020 + below(70); break;
        case 6: e = 868 + below(40); break;
        case 7: e = 500 + below(50); break;
        default: e = 1020 + below(8); break;
    }
    return sign | (uint64_t)e << 52 | m;
}
static void sixteen(uint8_t* p) {
    const unsigned kind = below(4);
    for (int n = 0; n < 2; ++n) {
        const uint64_t low = single(), high = single();
        const uint64_t v = kind == 0 ? wide() : kind == 1 ? low | high << 32 : kind == 2 ? whole() : bits();
        memcpy(p + 8 * n, &v, 8);
    }
}
static void extended(uint8_t* p) {
    uint64_t m = bits() | 1ull << 63;
    uint16_t e = (uint16_t)(16380 + below(8));
    switch (below(10)) {
        case 0: e = 0, m = 0; break;
        case 1: e = 0, m >>= 1; break;
        case 2: e = 0x7fff, m = below(2) ? m : 1ull << 63; break;
        case 3: e = (uint16_t)(1 + below(3)); break;
        case 4: e = (uint16_t)(0x7ffe - below(3)); break;
        case 5: e = (uint16_t)(16383 + below(70)); break;
        case 6: m &= 0xff00000000000000u; break;
        case 7: m &= 0xffffff0000000000u; break;
        default: break;
    }
    e |= (uint16_t)(below(2) << 15);
    memcpy(p, &m, 8);
    memcpy(p + 8, &e, 2);
}

static void make_state(struct state* s) {
    memset(s, 0, sizeof *s);
    for (int n = 0; n < kArea; n += 16) sixteen(area + n);
    const uint16_t control =
        (uint16_t)(0x40 | below(4) << 10 | (0x30002u >> 4 * below(4) & 3) << 8 | (below(4) != 0 ? 0x3f : below(64)));
    const uint16_t status = (uint16_t)(below(8) << 11);
    memcpy(s->fx, &control, 2);
    memcpy(s->fx + 2, &status, 2);
    s->fx[4] = below(3) == 0 ? (uint8_t)bits() : 0xff;
    const uint32_t mxcsr = below(4) << 13 | (below(4) == 0 ? 0x40u : 0) | (below(4) == 0 ? 0x8000u : 0) |
                           (below(4) != 0 ? 0x1f80u : below(64) << 7);
    memcpy(s->fx + 24, &mxcsr, 4);
    for (int n = 0; n < 8; ++n) extended(s->fx + 32 + 16 * n);
    for (int n = 0; n < 16; ++n) {
        uint8_t value[16];
        sixteen(value);
        if (has_sse && n < kRegisters) memcpy(s->fx + 160 + 16 * n, value, 16);
    }
    for (int n = 0; n < 16; ++n) {
        const word value = (word)whole();
        if (n < kRegisters) s->gpr[n] = value;
    }
    if (sizeof(word) == 8 && below(2) != 0) s->gpr[10] &= 0x3f;  // an index
    s->gpr[6] = (word)area + 64;
    s->gpr[7] = (word)area + 128;
    s->flags = (bits() & 0x8d5) | 0x202;
}

// What is the same on every processor: no pointers of the last instruction, no undefined flags.
static void hash_state(digest* d, const struct state* s, uint32_t mask, int floating) {
    for (int n = 0; n < kRegisters; ++n) {
        if (n == 4) continue;
        word value = s->gpr[n];
        if (value - (word)area < 2 * kPage) value = value - (word)area + 0x100000;
        add(d, value);
    }
    if (!floating) add(d, s->flags & mask);
    uint16_t control, status;
    memcpy(&control, s->fx, 2);
    memcpy(&status, s->fx + 2, 2);
    add(d, control);
    add(d, floating ? status & mask : status);
    add(d, s->fx[4]);
    for (int n = 0; n < 8; ++n) add_bytes(d, s->fx + 32 + 16 * n, 10);
    if (has_sse) {
        uint32_t mxcsr;
        memcpy(&mxcsr, s->fx + 24, 4);
        // Where overflow or underflow is raised, the engine does not find out whether the result would have been exact
        // with a wider exponent.
        if (fault.happened && fault.vector == 19 && (mxcsr & ~(mxcsr >> 7) & 0x18) != 0) mxcsr &= ~0x20u;
        add(d, mxcsr);
        add_bytes(d, s->fx + 160, 16 * kRegisters);
    }
    add_bytes(d, area, kArea);
    if (uses_uppers) add_bytes(d, uppers, sizeof uppers);
}

static void run_group(digest* all, const struct entry* first, const struct entry* last, int floating) {
    for (const struct entry* e = first; e < last; ++e) {
        digest d = 0;
        seed = 0x9e3779b97f4a7c15u + (uint64_t)(e - first);
        for (int round = 0; round < kRounds; ++round) {
            make_state(&state.state);
            fault.happened = 0;
            run_case(e->code);
            // Processors differ in the condition codes after a comparison that is an exception.
            hash_state(&d, &state.state, !fault.happened ? e->mask : floating ? e->mask & ~0x4700u : 0, floating);
            if (fault.happened) {
                add(&d, fault.vector);
                add(&d, fault.error);
                add(&d, fault.signal);
                add(&d, fault.code);
                // Of an arithmetic exception that of the instruction, else what was touched.
                const word base = fault.address - (word)area < 2 * kPage ? (word)area : 0;
                add(&d, fault.address == fault.instruction ? fault.address - e->code : fault.address - base);
                add(&d, fault.instruction - e->code);
            }
            if (each_case) {
                say("round %d %016llx %s", round, (unsigned long long)d, (const char*)(word)e->name);
            }
        }
        add(all, d);
    }
}

#define RUNNER(name, floating) \
    static void run_##name(digest* d) { run_group(d, __start_cases_##name, __stop_cases_##name, floating); }
RUNNER(integer, 0)
RUNNER(string, 0)
RUNNER(x87, 1)
RUNNER(functions, 1)
RUNNER(mmx, 1)
RUNNER(sse, 0)
RUNNER(sse2, 0)
RUNNER(sse3, 0)
RUNNER(ssse3, 0)
RUNNER(sse4_1, 0)
RUNNER(sse4_2, 0)
RUNNER(popcnt, 0)
RUNNER(aes, 0)
RUNNER(pclmul, 0)
#ifdef __x86_64__
RUNNER(long, 0)
RUNNER(sse_long, 0)
RUNNER(sse4_long, 0)
RUNNER(bmi1, 0)
RUNNER(bmi2, 0)
RUNNER(adx, 0)
#define AVX_RUNNER(name)                                            \
    static void run_##name(digest* d) {                             \
        uses_uppers = 1;                                            \
        run_group(d, __start_cases_##name, __stop_cases_##name, 0); \
        uses_uppers = 0;                                            \
    }
AVX_RUNNER(avx)
AVX_RUNNER(avx2)
AVX_RUNNER(fma)
AVX_RUNNER(f16c)
AVX_RUNNER(vex_aes)
#else
RUNNER(only32, 0)
#endif

static void prepare(digest* d) {
    static stack_t stack;
    static uint8_t memory[65536];
    stack.ss_sp = memory;
    stack.ss_size = sizeof memory;
    if (sigaltstack(&stack, 0) != 0 || mprotect(beyond, kPage, PROT_NONE) != 0) die("signals");
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    static const int kNumbers[] = {SIGSEGV, SIGILL, SIGFPE, SIGTRAP, SIGBUS};
    for (int n = 0; n < 5; ++n) sigaction(kNumbers[n], &action, 0);
    has_sse = has(kSse);
    add(d, 1);
}

const struct group instruction_groups[] = {{"prepare", prepare, kFxsr},
                                           {"integer", run_integer, kFxsr},
                                           {"string", run_string, kFxsr},
                                           {"x87", run_x87, kFxsr},
                                           {"x87-functions", run_functions, kFxsr},
                                           {"mmx", run_mmx, kMmx},
#ifdef __x86_64__
                                           {"long", run_long, kFxsr},
                                           {"sse-long", run_sse_long, kSse2},
                                           {"sse4-long", run_sse4_long, kSse4Long},
                                           {"avx", run_avx, kAvx},
                                           {"avx2", run_avx2, kAvx2},
                                           {"fma", run_fma, kFma},
                                           {"f16c", run_f16c, kF16c},
                                           {"vex-aes", run_vex_aes, kVexAes},
                                           {"bmi1", run_bmi1, kBmi1},
                                           {"bmi2", run_bmi2, kBmi2},
                                           {"adx", run_adx, kAdx},
#else
                                           {"only32", run_only32, kFxsr},
#endif
                                           {"sse", run_sse, kSse},
                                           {"sse2", run_sse2, kSse2},
                                           {"sse3", run_sse3, kSse3},
                                           {"ssse3", run_ssse3, kSsse3},
                                           {"sse4.1", run_sse4_1, kSse41},
                                           {"sse4.2", run_sse4_2, kSse42},
                                           {"popcnt", run_popcnt, kPopcnt},
                                           {"aes", run_aes, kAes},
                                           {"pclmul", run_pclmul, kPclmul},
                                           {0, 0, kAlways}};
