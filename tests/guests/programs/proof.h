// What the parts of the program share. Each group gives one digest, the same on every correct processor.
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint64_t digest;
typedef unsigned long word;

// A digest of 64 bits that grows by values; no cryptography.
static inline void add(digest* d, uint64_t value) {
    *d = (*d ^ value) * 0x9e3779b97f4a7c15u;
    *d ^= *d >> 29;
}
void add_bytes(digest* d, const void* bytes, size_t size);

// What the processor announces.
enum feature {
    kAlways,
    kFxsr,
    kMmx,
    kSse,
    kSse2,
    kSse3,
    kSsse3,
    kSse41,
    kSse42,
    kPopcnt,
    kAes,
    kPclmul,
    kSse4Long,
    kAvx,
    kAvx2,
    kFma,
    kF16c,
    kVexAes,
    kBmi1,
    kBmi2,
    kAdx
};
int has(enum feature feature);

struct group {
    const char* name;
    void (*run)(digest* d);
    enum feature feature;
};
extern const struct group instruction_groups[], system_groups[], trace_groups[];
#ifdef __x86_64__
extern const struct group avx_groups[];
#endif

// Tells the digest of each case as well.
extern int each_case;
void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
void die(const char* what) __attribute__((noreturn));
