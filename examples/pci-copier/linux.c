// Uses the copier from a Linux guest, as root and without a driver: finds the function in sysfs, switches it on, maps
// its registers, and lets it copy one page of this process to another.
//
//   gcc -m32 -static -O2 -o copy linux.c
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPage = 4096 };
enum { kId, kControl, kStatus, kLength, kSource, kSourceHigh, kDestination, kDestinationHigh, kCopied, kReason };

static const char kDevices[] = "/sys/bus/pci/devices";
static char place[64];  // "0000:00:03.0"

static void fail(const char* what) {
    perror(what);
    exit(1);
}

static int open_file(const char* name, int flags) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s/%s", kDevices, place, name);
    const int file = open(path, flags);
    if (file < 0) fail(path);
    return file;
}

// First number of a file of the function.
static unsigned long number(const char* name) {
    char text[64] = "";
    const int file = open_file(name, O_RDONLY);
    if (read(file, text, sizeof text - 1) < 0) fail(name);
    close(file);
    return strtoul(text, NULL, 0);
}

static int find(void) {
    DIR* folder = opendir(kDevices);
    if (!folder) fail(kDevices);
    for (const struct dirent* entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(place, sizeof place, "%.60s", entry->d_name);
        if (number("vendor") == 0x1234 && number("device") == 0xc0de) return 1;
    }
    return 0;
}

// A page that stays where it is as long as this short program runs.
static unsigned char* page(void) {
    void* memory = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    memset(memory, 0, kPage);
    return memory;
}

static uint64_t physical(const void* address) {
    uint64_t entry = 0;
    const int file = open("/proc/self/pagemap", O_RDONLY);
    if (file < 0 ||
        pread(file, &entry, sizeof entry, (off_t)((uintptr_t)address / kPage * sizeof entry)) != sizeof entry)
        fail("/proc/self/pagemap");
    close(file);
    const uint64_t frame = entry & ((1ull << 55) - 1);
    if (!(entry >> 63) || !frame) {
        fprintf(stderr, "no page behind the address, or not root\n");
        exit(1);
    }
    return frame * kPage;
}

static volatile uint32_t* registers;

static void copy(uint64_t from, uint64_t to) {
    registers[kSource] = (uint32_t)from, registers[kSourceHigh] = (uint32_t)(from >> 32);
    registers[kDestination] = (uint32_t)to, registers[kDestinationHigh] = (uint32_t)(to >> 32);
    registers[kLength] = kPage;
    registers[kControl] = 3;  // with interrupt: nobody takes it here, but status bit 3 of the function shows it
    while (registers[kStatus] & 1) usleep(100);
}

// Status bit 3 of the configuration space: the function interrupts.
static int interrupting(int config) {
    uint16_t status = 0;
    if (pread(config, &status, sizeof status, 6) != sizeof status) fail("config");
    return status >> 3 & 1;
}

int main(void) {
    if (!find()) {
        fprintf(stderr, "there is no copier\n");
        return 1;
    }
    const uint64_t base = number("resource");
    printf("copier at %s, registers at %llx\n", place, (unsigned long long)base);

    const int config = open_file("config", O_RDWR);
    uint16_t command = 0;
    if (pread(config, &command, sizeof command, 4) != sizeof command) fail("config");
    command |= 6;  // memory, bus master
    if (pwrite(config, &command, sizeof command, 4) != sizeof command) fail("config");
    const int bar = open_file("resource0", O_RDWR);
    registers = mmap(NULL, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, bar, 0);
    if (registers == MAP_FAILED) fail("resource0");
    printf("id %08x\n", (unsigned)registers[kId]);

    unsigned char* from = page();
    unsigned char* to = page();
    for (int i = 0; i < kPage; ++i) from[i] = (unsigned char)(i * 13 + i / 256);
    copy(physical(from), physical(to));
    printf("copied %u, status %u, interrupt %d\n", (unsigned)registers[kCopied], (unsigned)registers[kStatus],
           interrupting(config));
    const int agree = memcmp(from, to, kPage) == 0;
    printf("data %s\n", agree ? "agree" : "differ");
    registers[kStatus] = 6;
    printf("acknowledged: status %u, interrupt %d\n", (unsigned)registers[kStatus], interrupting(config));

    copy(physical(from), base);
    printf("to its own registers: status %u, reason %u\n", (unsigned)registers[kStatus], (unsigned)registers[kReason]);
    registers[kStatus] = 6;
    return agree ? 0 : 1;
}
