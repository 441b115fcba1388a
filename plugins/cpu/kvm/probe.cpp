#include "probe.hpp"

#include <sys/mman.h>
#include <x86intrin.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>

#include "registers.hpp"
#include "vcpu.hpp"
#include "wire.hpp"

namespace backplane::kvm {
namespace {

constexpr u64 kMemory = 0x10000, kCode = 0x1000, kPml4 = 0x4000, kPdpt = 0x5000, kDirectory = 0x6000;
constexpr u16 kPort = 0x5a;
constexpr u32 kLoops = 100'000;
// What the interpreter does at the least, in any mode, on a processor that has virtualization.
constexpr i64 kSlowestNs = 20;  // an instruction
constexpr int kRounds = 5;      // the best counts: others may want the processor

// Computes in the mode's width, hands the result to a port and halts. The wider ones count to 100,000 in between: some
// hosts' KVM has no help of the processor and interprets the guest, much slower than our interpreter.
constexpr u8 kCode16[] = {0xb8, 0x34, 0x12,              // mov ax, 1234h
                          0x05, 0x11, 0x11,              // add ax, 1111h
                          0xe7, 0x5a,                    // out 5Ah, ax
                          0xf4};                         // hlt
constexpr u8 kCode32[] = {0xb8, 0x78, 0x56, 0x34, 0x12,  // mov eax, 12345678h
                          0x05, 0x11, 0x11, 0x11, 0x11,  // add eax, 11111111h
                          0xb9, 0xa0, 0x86, 0x01, 0x00,  // mov ecx, 100000
                          0x83, 0xe9, 0x01,              // sub ecx, 1
                          0x75, 0xfb,                    // jnz -5
                          0xe7, 0x5a,                    // out 5Ah, eax
                          0xf4};
constexpr u8 kCode64[] = {0x48, 0xb8, 0,    0,    0,    0, 0x78, 0x56, 0x34, 0x12,  // mov rax, 12345678'00000000h
                          0x48, 0xc1, 0xe8, 0x20,                                   // shr rax, 32
                          0xb9, 0xa0, 0x86, 0x01, 0x00,                             // mov ecx, 100000
                          0x83, 0xe9, 0x01,                                         // sub ecx, 1
                          0x75, 0xfb,                                               // jnz -5
                          0xe7, 0x5a,                                               // out 5Ah, eax
                          0xf4};

// A program of a 64-bit system calls that, which answers with its code segment.
constexpr u64 kProgram = 0x1100, kEntry = 0x1200;
constexpr u8 kCodeCall[] = {0xb9, 0x00, 0x11, 0x00, 0x00,        // mov ecx, kProgram
                            0x41, 0xbb, 0x02, 0x00, 0x00, 0x00,  // mov r11d, 2
                            0x48, 0x0f, 0x07};                   // sysretq
constexpr u8 kCodeProgram[] = {0x0f, 0x05};                      // syscall
constexpr u8 kCodeEntry[] = {0x8c, 0xc8,                         // mov eax, cs
                             0xe7, 0x5a,                         // out 5Ah, eax
                             0xf4};
// The time-stamp counter, in units of 2^38.
constexpr u8 kCodeTime[] = {0x0f, 0x31,              // rdtsc
                            0x48, 0xc1, 0xe2, 0x20,  // shl rdx, 32
                            0x48, 0x09, 0xd0,        // or rax, rdx
                            0x48, 0xc1, 0xe8, 0x26,  // shr rax, 38
                            0xe7, 0x5a,              // out 5Ah, eax
                            0xf4};
constexpr u64 kTime = u64{1} << 50;

struct Mode {
    const char* name;
    std::span<const u8> code;
    u32 expected;
    u32 bytes;
    u32 instructions;  // 0: how long they take says nothing
};
constexpr Mode kModes[] = {{"16-bit code", kCode16, 0x2345, 2, 0},
                           {"32-bit code", kCode32, 0x23456789, 4, kLoops * 2},
                           {"64-bit code", kCode64, 0x12345678, 4, kLoops * 2},
                           {"system calls of 64-bit programs", kCodeCall, 8, 4, 0},
                           {"the time-stamp counter", kCodeTime, kTime >> 38, 4, 0}};

bp_x86_state initial(unsigned mode) {
    bp_x86_state s{};
    s.size = sizeof s;
    s.rip = kCode;
    s.rflags = 2;
    s.cr0 = 0x10;
    for (bp_x86_segment& g : s.segment) g = {0, 0xffff, 0, 0x93};
    s.tr = {0, 0xffff, 0, 0x8b};
    s.ldtr = {0, 0xffff, 0, 0x82};
    s.gdtr.limit = s.idtr.limit = 0xffff;
    s.dr6 = 0xffff0ff0, s.dr7 = 0x400;
    s.fcw = 0x37f, s.mxcsr = 0x1f80;
    s.xcr0 = 1;
    s.pat = 0x0007040600070406ull;
    if (mode == 0) return s;
    s.cr0 |= 1;
    for (bp_x86_segment& g : s.segment) g = {0, 0xffffffffu, 0x10, 0xc093};
    s.segment[BP_X86_CS] = {0, 0xffffffffu, 8, 0xc09b};
    if (mode == 1) return s;
    s.segment[BP_X86_CS].attributes = 0xa09b;
    s.cr3 = kPml4;
    s.cr4 = 1u << 5;
    s.cr0 |= 1u << 31;
    s.efer = 0x501;
    s.star = u64{0x10} << 48 | u64{8} << 32;
    s.lstar = kEntry;
    return s;
}

// `ns`: how long it was in the guest.
std::string run_one(const char* device, unsigned which, u8* memory, i64& ns) {
    const Mode& mode = kModes[which];
    std::memcpy(memory + kCode, mode.code.data(), mode.code.size());
    const auto vm = std::make_shared<Vm>(device);
    kvm_userspace_memory_region region{0, 0, 0, kMemory, reinterpret_cast<u64>(memory)};
    if (control(vm->fd(), KVM_SET_USER_MEMORY_REGION, &region) < 0) return error_text(errno);
    Vcpu cpu(vm, 0);
    cpu.set_cpuid(supported_cpuid(vm->host()));
    cpu.store(initial(which));
    cpu.set_tsc_frequency(1'000'000'000);
    cpu.set_tsc(kTime);
    // A guest that never comes back is brought back by the signal of each second.
    Signals signals;
    signals.claim_thread();
    cpu.set_signal_mask();
    bool answered = false;
    for (int turns = 0; turns < 16; ++turns) {
        const u64 begun = __rdtsc();
        const int error = cpu.run();
        ns += static_cast<i64>(static_cast<double>(__rdtsc() - begun) * 1e9 / static_cast<double>(cpu.host_tsc_hz()));
        if (error == EINTR) {
            Signals::drain();
            if (turns > 4) return "the guest does not come to an end";
            continue;
        }
        if (error != 0) return error_text(error);
        const kvm_run& run = cpu.area();
        if (run.exit_reason == KVM_EXIT_IO) {
            u32 value = 0;
            if (run.io.port != kPort || run.io.direction != KVM_EXIT_IO_OUT || run.io.size != mode.bytes)
                return "the guest does something else";
            std::memcpy(&value, reinterpret_cast<const u8*>(&run) + run.io.data_offset, mode.bytes);
            if (value != mode.expected) return "the guest computes wrongly";
            answered = true;
        } else if (run.exit_reason == KVM_EXIT_HLT) {
            return answered ? "" : "the guest halts early";
        } else if (run.exit_reason != KVM_EXIT_INTR) {
            return "exit " + std::to_string(run.exit_reason);
        }
    }
    return "the guest does not come to an end";
}

}  // namespace

CpuidTable supported_cpuid(const Host& host) {
    for (u32 room = 128; room <= 4096; room *= 2) {
        List<kvm_cpuid_entry2> list(room);
        if (control(host.device.get(), kGetSupportedCpuid, list.data()) == 0) return list.entries();
        if (errno != E2BIG) break;
    }
    return {};
}

namespace {

Probed probe_now(const char* device) {
    void* memory = ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED) return {"there is no memory for a guest: " + error_text(errno), ""};
    struct Unmap {
        void* at;
        ~Unmap() { ::munmap(at, kMemory); }
    } const unmap{memory};
    u8* bytes = static_cast<u8*>(memory);
    const u64 tables[][2] = {{kPml4, kPdpt | 7}, {kPdpt, kDirectory | 7}, {kDirectory, 0x87}};
    for (const auto& [at, entry] : tables) std::memcpy(bytes + at, &entry, sizeof entry);
    std::memcpy(bytes + kProgram, kCodeProgram, sizeof kCodeProgram);
    std::memcpy(bytes + kEntry, kCodeEntry, sizeof kCodeEntry);
    Probed found;
    for (unsigned i = 0; i < std::size(kModes); ++i) {
        const i64 enough = kSlowestNs * kModes[i].instructions;
        i64 best = 0;
        for (int round = 0; round < kRounds; ++round) {
            std::string failed;
            i64 ns = 0;
            try {
                failed = run_one(device, i, bytes, ns);
            } catch (const std::exception& e) {
                failed = e.what();
            }
            if (!failed.empty()) {
                found.failed = std::string(kModes[i].name) + ": " + failed;
                return found;
            }
            if (round == 0 || ns < best) best = ns;
            if (best < enough || enough == 0) break;
        }
        if (best >= enough && enough != 0)
            found.slow = std::string(kModes[i].name) + " at " +
                         std::to_string(kModes[i].instructions * 1000 / static_cast<u64>(best)) +
                         " million instructions a second";
    }
    return found;
}

}  // namespace

const Probed& probe(const char* device) {
    static std::mutex mutex;
    static std::map<std::string, Probed, std::less<>> known;
    const std::lock_guard guard(mutex);
    const auto found = known.find(device);
    return found != known.end() ? found->second : known.emplace(device, probe_now(device)).first->second;
}

}  // namespace backplane::kvm
