// Engines: what they call, and how they are attached.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

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
    // An access has changed what memory looks like. When the instruction is over, no other CPU may see memory as it
    // was: the guest may tell it to look. Each leaves the old view at its next block of instructions, so this does not
    // take long; an engine that does not is not waited for without end. One that waits here itself has no access under
    // way; one that waits for the lock gets it.
    static void wait_for_view(void* self) {
        Vcpu& me = *static_cast<Vcpu*>(self);
        MachineLock& lock = of(self).lock_;
        if (board(self).vcpus.size() == 1 || lock.held()) return;
        const auto behind = [&](const Vcpu& v) {
            return &v != &me && v.running && !v.waits_for_view &&
                   (__atomic_load_n(&v.shared.attention, __ATOMIC_ACQUIRE) & BP_ATTENTION_VIEW) != 0;
        };
        std::unique_lock guard(lock);
        me.waits_for_view = true;
        const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
        while (std::ranges::any_of(board(self).vcpus, behind) && std::chrono::steady_clock::now() < until) {
            guard.unlock();
            std::this_thread::yield();
            guard.lock();
        }
        me.waits_for_view = false;
    }
    // Around an access, outside of the lock.
    struct Views {
        void* const self;
        const u64 views;
        explicit Views(void* s) : self(s), views(board(s).view_changes) {}
        ~Views() {
            if (views != board(self).view_changes) wait_for_view(self);
        }
    };
    // For an access to a device: what is due by the clock happens before it. The machine's thread may be late by a
    // host's time slice, and a guest that polls one device for what another one's timer does (port 61h for the interval
    // timer) would measure the host's scheduler. Afterwards whoever it has interrupted is woken.
    struct Access : Views, Guard {
        Machine& m;
        const int before;
        [[gnu::always_inline]] explicit Access(void* self)
            : Views(self), Guard(self), m(of(self)), before(std::exchange(m.accessing_, -1)) {
            m.run_late_timers(*static_cast<Vcpu*>(self));
            m.accessing_ = static_cast<int>(static_cast<Vcpu*>(self)->shared.index);
        }
        [[gnu::always_inline]] ~Access() {
            m.accessing_ = before;
            m.wake_halted();
        }
    };
    // The registers that only this vCPU sees: those that [address, address + bytes) lies in, or touches.
    static const Vcpu::Own* own(void* self, u64 address, u64 bytes) {
        for (const Vcpu::Own& o : static_cast<Vcpu*>(self)->own)
            if (address <= o.last() && address + (bytes - 1) >= o.base) return &o;
        return nullptr;
    }
    static bool within(const Vcpu::Own& o, u64 address, u64 bytes) {
        return address >= o.base && address + (bytes - 1) <= o.last();
    }
    // An engine that says "yes" with another number means the mode's data.
    static u32 view_of(int smm) {
        if (smm == BP_VIEW_NORMAL) return BP_VIEW_NORMAL;
        return smm == BP_VIEW_SMM_CODE ? BP_VIEW_SMM_CODE : BP_VIEW_SMM;
    }
    static void page(void* self, u64 address, int smm, bp_page* page) {
        Guard g(self);
        MemorySpace& memory = *board(self).memory;
        if (own(self, address & memory.limit() & ~(kPageSize - 1), kPageSize))
            *page = {};  // every access takes the slow path
        else
            memory.page(address, page, view_of(smm));
    }
    static u64 read(void* self, u64 address, u32 bytes, int smm) {
        Access g(self);
        MemorySpace& memory = *board(self).memory;
        address &= memory.limit();
        const Vcpu::Own* o = own(self, address, bytes);
        if (!o) return memory.read(address, bytes, view_of(smm));
        if (within(*o, address, bytes)) return memory.read_own(*o->region, address - o->base, bytes);
        u64 value = 0;
        for (u32 i = 0; i < bytes; ++i) value |= read(self, address + i, 1, smm) << (8 * i);
        return value;
    }
    static void write(void* self, u64 address, u32 bytes, u64 value, int smm) {
        Access g(self);
        MemorySpace& memory = *board(self).memory;
        address &= memory.limit();
        const Vcpu::Own* o = own(self, address, bytes);
        if (!o) return memory.write(address, bytes, value, view_of(smm));
        if (within(*o, address, bytes)) return memory.write_own(*o->region, address - o->base, bytes, value);
        for (u32 i = 0; i < bytes; ++i) write(self, address + i, 1, value >> (8 * i) & 0xff, smm);
    }
    static u64 port_read(void* self, u32 port, u32 bytes) {
        Access g(self);
        return board(self).ports->read(port, bytes);
    }
    static void port_write(void* self, u32 port, u32 bytes, u64 value) {
        Access g(self);
        board(self).ports->write(port, bytes, value);
    }
    // Pages that a vCPU has registers of its own in are left out for all.
    static u32 ranges(void* self, bp_memory_range* ranges, u32 capacity) {
        Guard g(self);
        const Assembly& a = board(self);
        std::vector<bp_memory_range> all(a.memory->ranges(nullptr, 0));
        a.memory->ranges(all.data(), static_cast<u32>(all.size()));
        for (const Vcpu& v : a.vcpus)
            for (const Vcpu::Own& o : v.own) leave_out(all, o.base & ~(kPageSize - 1), o.last() | (kPageSize - 1));
        std::copy_n(all.begin(), std::min<std::size_t>(all.size(), capacity), ranges);
        return static_cast<u32>(all.size());
    }
    static void leave_out(std::vector<bp_memory_range>& all, u64 first, u64 last) {
        std::vector<bp_memory_range> rest;
        const auto keep = [&rest](const bp_memory_range& r, u64 from, u64 end) {
            if (from >= end) return;
            const u64 skipped = from - r.address;
            rest.push_back({from, end - from, r.host + skipped, r.dirty ? r.dirty + skipped / kPageSize : nullptr,
                            r.writable, r.reserved});
        };
        for (const bp_memory_range& r : all) {
            const u64 end = r.address + r.bytes;
            keep(r, r.address, std::min(end, first));
            if (last + 1 != 0) keep(r, std::max(r.address, last + 1), end);
        }
        all = std::move(rest);
    }
    static void lock(void* self) { of(self).lock_.lock(); }
    static void unlock(void* self) {
        of(self).wake_halted();
        of(self).lock_.unlock();
    }
    static std::int64_t now(void* self) {
        const Assembly& a = board(self);
        return a.now ? a.now(*static_cast<Vcpu*>(self)) : of(self).now();
    }
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
    static u32 code_settled(void* self) {
        for (const Vcpu& other : board(self).vcpus)
            if (&other != self && (__atomic_load_n(&other.shared.attention, __ATOMIC_ACQUIRE) & BP_ATTENTION_CODE))
                return 0;
        return 1;
    }
};

void Builder::attach_engines() {
    const bool several =
        std::ranges::count_if(a_.all(), [](const Instance& d) { return d.type->offers_interface(BP_CPU_ID); }) > 1;
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
        v.bus = {sizeof(bp_cpu_bus),
                 &v,
                 CpuServices::page,
                 CpuServices::read,
                 CpuServices::write,
                 CpuServices::port_read,
                 CpuServices::port_write,
                 CpuServices::lock,
                 CpuServices::unlock,
                 CpuServices::now,
                 CpuServices::code_cached,
                 CpuServices::code_written,
                 CpuServices::code_settled,
                 CpuServices::ranges,
                 &a_};
        if (!several) v.bus.code_cached = nullptr, v.bus.code_written = nullptr, v.bus.code_settled = nullptr;
        check_failure(d, v.table->attach(v.engine, &v.shared, &v.bus), d.spec->position,
                      "the engine cannot be attached");
    }
}

}  // namespace backplane::kernel
