// Engines: what they call, and how they are attached.
#include <cstring>

#include "kernel/machine/builder.hpp"

namespace backplane::kernel {

// What an engine calls. Devices are reached under the machine's lock, which these take themselves.
struct CpuServices {
    static Machine& of(void* self) { return *static_cast<Vcpu*>(self)->machine; }
    static Assembly& board(void* self) { return *static_cast<Vcpu*>(self)->assembly; }
    struct Guard {
        MachineLock& lock;
        explicit Guard(void* self) : lock(of(self).lock_) { lock.lock(); }
        ~Guard() { lock.unlock(); }
    };
    // For an access to a device: what is due by the clock happens before it. The machine's thread may be late by a
    // host's time slice, and a guest that polls one device for what another one's timer does (port 61h for the interval
    // timer) would measure the host's scheduler.
    struct Access : Guard {
        explicit Access(void* self) : Guard(self) { of(self).run_late_timers(); }
    };
    // An engine that says "yes" with another number means the mode's data.
    static u32 view_of(int smm) {
        if (smm == BP_VIEW_NORMAL) return BP_VIEW_NORMAL;
        return smm == BP_VIEW_SMM_CODE ? BP_VIEW_SMM_CODE : BP_VIEW_SMM;
    }
    static void page(void* self, u64 address, int smm, bp_page* page) {
        Guard g(self);
        board(self).memory->page(address, page, view_of(smm));
    }
    static u64 read(void* self, u64 address, u32 bytes, int smm) {
        Access g(self);
        return board(self).memory->read(address, bytes, view_of(smm));
    }
    static void write(void* self, u64 address, u32 bytes, u64 value, int smm) {
        Access g(self);
        board(self).memory->write(address, bytes, value, view_of(smm));
    }
    static u64 port_read(void* self, u32 port, u32 bytes) {
        Access g(self);
        return board(self).ports->read(port, bytes);
    }
    static void port_write(void* self, u32 port, u32 bytes, u64 value) {
        Access g(self);
        board(self).ports->write(port, bytes, value);
    }
    static u32 ranges(void* self, bp_memory_range* ranges, u32 capacity) {
        Guard g(self);
        return board(self).memory->ranges(ranges, capacity);
    }
    static void lock(void* self) { of(self).lock_.lock(); }
    static void unlock(void* self) { of(self).lock_.unlock(); }
    static std::int64_t now(void* self) { return of(self).now(); }
    static void code_cached(void* self, u64 address) {
        Guard g(self);
        for (Vcpu& other : board(self).vcpus)
            if (&other != self && other.code) other.code->cached(other.engine, address);
    }
    static void code_written(void* self, u64 address, u64 size) {
        Guard g(self);
        for (Vcpu& other : board(self).vcpus)
            if (&other != self) other.table->invalidate(other.engine, address, size);
    }
};

void Builder::attach_engines() {
    for (Instance& d : a_.all()) {
        if (!d.type->offers_interface(BP_CPU_ID)) continue;
        const bp_interface cpu = d.type->abi->offer(d.object, {BP_CPU_ID, sizeof(BP_CPU_ID) - 1}, {"", 0});
        if (!cpu.table) continue;
        if (!a_.memory || !a_.ports)
            throw Error(d.spec->position, d.name() + ": a CPU needs a memory space and a port space on the board");
        Vcpu& v = a_.vcpus.emplace_back();
        v.machine = &m_, v.assembly = &a_, v.device = &d;
        v.table = static_cast<const bp_cpu*>(cpu.table), v.engine = cpu.instance;
        // The same instance for all: who offers them otherwise cannot be debugged.
        const auto beside = [&](const char* id) {
            const bp_interface found = d.type->offers_interface(id)
                                           ? d.type->abi->offer(d.object, {id, std::strlen(id)}, {"", 0})
                                           : bp_interface{};
            return found.instance == cpu.instance ? found.table : nullptr;
        };
        v.state = static_cast<const bp_cpu_state*>(beside(BP_CPU_STATE_ID));
        v.code = static_cast<const bp_cpu_code*>(beside(BP_CPU_CODE_ID));
        v.debug = static_cast<const bp_cpu_debug*>(beside(BP_CPU_DEBUG_ID));
        v.hardware = static_cast<const bp_cpu_hardware*>(beside(BP_CPU_HARDWARE_ID));
        v.shared.index = static_cast<u32>(a_.vcpus.size() - 1);
        v.shared.deadline = ~u64{0};
        v.bus = {sizeof(bp_cpu_bus),       &v,
                 CpuServices::page,        CpuServices::read,
                 CpuServices::write,       CpuServices::port_read,
                 CpuServices::port_write,  CpuServices::lock,
                 CpuServices::unlock,      CpuServices::now,
                 CpuServices::code_cached, CpuServices::code_written,
                 CpuServices::ranges,      &a_};
        check_failure(d, v.table->attach(v.engine, &v.shared, &v.bus), d.spec->position,
                      "the engine cannot be attached");
    }
    if (m_.clock_->deterministic() && a_.vcpus.size() > 1)
        throw Error(m_.board_.clock.position(),
                    "clock: deterministic mode runs one CPU; this board has " + std::to_string(a_.vcpus.size()));
}

}  // namespace backplane::kernel
