// proof [each] [without-sse] [GROUP...]: prints a line "digest GROUP VALUE" for every group that the processor can run,
// and "without GROUP" for the others. As the first process of a machine it prints the processor's name as well and
// switches it off. With `each` it tells the digests that a group's comes from, with `without-sse` it does not use SSE
// and later ones.
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "proof.h"

int each_case;
static int without_sse;

void add_bytes(digest* d, const void* bytes, size_t size) {
    const uint8_t* p = bytes;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t value;
        memcpy(&value, p, 8);
        add(d, value);
    }
    for (; size != 0; ++p, --size) add(d, *p);
}

void say(const char* format, ...) {
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (size > (int)sizeof line - 2) size = sizeof line - 2;
    line[size++] = '\n';
    if (write(1, line, (size_t)size) != size) _exit(2);
}
void die(const char* what) {
    say("failed: %s", what);
    _exit(1);
}

// Processor and system: leaf 7 where it is there, and whether the state of AVX is switched on.
static unsigned structured(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) ? b : 0;
}
static int avx_enabled(unsigned c) {
    if ((c >> 27 & c >> 28 & 1) == 0) return 0;
    unsigned low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & 6) == 6;
}

int has(enum feature feature) {
    unsigned a, b, c, d;
    if (without_sse && feature >= kSse) return 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return feature == kAlways;
    switch (feature) {
        case kAlways: return 1;
        case kFxsr: return d >> 24 & 1;
        case kMmx: return d >> 23 & 1;
        case kSse: return d >> 25 & 1;
        case kSse2: return d >> 26 & 1;
        case kSse3: return c & 1;
        case kSsse3: return c >> 9 & 1;
        case kSse41: return c >> 19 & 1;
        case kSse42: return c >> 20 & 1;
        case kPopcnt: return c >> 23 & 1;
        case kAes: return c >> 25 & 1;
        case kPclmul: return c >> 1 & 1;
        case kSse4Long: return (c >> 9 & c >> 19 & c >> 20 & c >> 23 & 1) != 0;
        case kAvx: return avx_enabled(c);
        case kAvx2: return avx_enabled(c) && (structured() >> 5 & 1);
        case kFma: return avx_enabled(c) && (c >> 12 & 1);
        case kF16c: return avx_enabled(c) && (c >> 29 & 1);
        case kVexAes: return avx_enabled(c) && (c >> 25 & c >> 1 & 1);
        case kBmi1: return structured() >> 3 & 1;
        case kBmi2: return structured() >> 8 & 1;
        case kAdx: return structured() >> 19 & 1;
    }
    return 0;
}

static int is_wanted(const char* name, int count, char** names) {
    if (count == 0 || strcmp(name, "prepare") == 0) return 1;
    for (int n = 0; n < count; ++n) {
        if (strcmp(name, names[n]) == 0) return 1;
    }
    return 0;
}
static void run(const struct group* g, int count, char** names) {
    for (; g->name != 0; ++g) {
        if (!is_wanted(g->name, count, names)) continue;
        if (!has(g->feature)) {
            say("without %s", g->name);
            continue;
        }
        digest d = 0;
        g->run(&d);
        say("digest %s %016llx", g->name, (unsigned long long)d);
    }
}

static void show_processor(void) {
    mount("proc", "/proc", "proc", 0, 0);
    // The kernel need not tell of the faults that are meant to happen.
    const int setting = open("/proc/sys/debug/exception-trace", O_WRONLY);
    if (setting >= 0) {
        if (write(setting, "0", 1) != 1) say("the kernel goes on telling of faults");
        close(setting);
    }
    static char text[8192];
    const int file = open("/proc/cpuinfo", O_RDONLY);
    const ssize_t size = read(file, text, sizeof text - 1);
    if (size > 0) {
        for (char* line = strtok(text, "\n"); line != 0; line = strtok(0, "\n")) {
            if (strncmp(line, "model name", 10) == 0 || strncmp(line, "flags", 5) == 0) say("%s", line);
        }
    }
    close(file);
}

int main(int count, char** arguments) {
    if (count > 1 && strcmp(arguments[1], "child") == 0) return 42;  // processes.c
    --count, ++arguments;
    const int first = getpid() == 1;
    if (first) show_processor();
    if (count > 0 && strcmp(arguments[0], "each") == 0) {
        each_case = 1;
        --count, ++arguments;
    }
    if (count > 0 && strcmp(arguments[0], "without-sse") == 0) {
        without_sse = 1;
        --count, ++arguments;
    }
    // Last those that take the handlers of signals for themselves.
    run(system_groups, count, arguments);
#ifdef __x86_64__
    run(avx_groups, count, arguments);
#endif
    run(trace_groups, count, arguments);
    run(instruction_groups, count, arguments);
    say("done");
    if (first) {
        sync();
        reboot(RB_POWER_OFF);
        for (;;) pause();
    }
    return 0;
}
