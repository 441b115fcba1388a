// The engine running 32-bit user code at CPL 3 with paging, ended by whatever exception the code ends in.
#pragma once

#include <cstring>
#include <vector>

#include "block.hpp"
#include "memory.hpp"
#include "test_native_host.hpp"

namespace backplane::interp::test {

class UserBench {
  public:
    // Linear = address of the code and data windows; their memory is the caller's.
    static constexpr u32 kTables = 0x1000;  // page directory, then page tables
    static constexpr u32 kIdt = 0x8000, kGdt = 0x9000, kTss = 0xa000, kStack0 = 0xc000, kHandlers = 0xd000;
    static constexpr u32 kLow = 0x10000;

    UserBench() : low_(kLow + 0x1000), flags_(1u << 20) {
        bus_.size = sizeof bus_;
        bus_.self = this;
        bus_.page = [](void* self, u64 address, int, bp_page* p) { static_cast<UserBench*>(self)->page(address, p); };
        bus_.read = [](void*, u64, u32 bytes, int) -> u64 { return bytes == 8 ? ~0ull : (1ull << bytes * 8) - 1; };
        bus_.write = [](void*, u64, u32, u64, int) {};
        bus_.port_read = [](void*, u32, u32) -> u64 { return 0; };
        bus_.port_write = [](void*, u32, u32, u64) {};
        bus_.lock = bus_.unlock = [](void*) {};
        bus_.now = [](void*) -> int64_t { return 0; };
        vcpu_.deadline = ~0ull;
        // As if there were other processors: locked instructions have handlers of their own then.
        bus_.code_cached = [](void*, u64) {};
        bus_.code_written = [](void*, u64, u64) {};
        bus_.code_settled = [](void*) -> u32 { return 1; };
        cpu.attach(&vcpu_, &bus_);
        cpu.reset(true);
        build_tables();
    }

    // Makes host memory visible at the same linear (and physical) address, user-accessible.
    void map(u32 address, u8* host, u32 size, bool writable) {
        windows_.push_back({address, size, host});
        const u32 pde = address >> 22;
        u32 entry = get(kTables + pde * 4);
        if (entry == 0) {
            next_table_ += 0x1000;
            entry = next_table_ | 7;
            put(kTables + pde * 4, entry);
        }
        for (u32 a = address; a < address + size; a += 0x1000) {
            put((entry & ~0xfffu) + (a >> 12 & 0x3ff) * 4, a | 0x65 | (writable ? 2 : 0));
        }
    }

    // Tells the engine that host code changed the bytes there.
    void touched(u32 address, u32 size) { cpu.cache->store(address, size); }

    void run(UserState& s, u64 budget = 100000) {
        for (unsigned n = 0; n < 8; ++n) cpu.r32(n) = s.gpr[n];
        enter();
        cpu.eip = s.eip;
        cpu.set_flags(s.eflags | 2);
        cpu.halted = false;
        const u64 before = cpu.count;
        vcpu_.deadline = cpu.count + budget;
        exit = cpu.run();
        vcpu_.deadline = ~0ull;
        retired = cpu.count - before;
        for (unsigned n = 0; n < 8; ++n) s.gpr[n] = cpu.r32(n);
        s.eflags = cpu.flags();
        s.eip = cpu.eip;
        s.vector = 0xff;
        s.error = 0;
        if (exit != BP_EXIT_HALT) return;
        s.vector = (cpu.eip - 1 - kHandlers) / 16;
        u32 sp = cpu.r32(kEsp);
        static constexpr u32 kWithError = 1u << 8 | 0x7fu << 10 | 1u << 17;
        if ((kWithError >> s.vector & 1u) != 0 && s.vector != 15 && s.vector != 16) {
            s.error = get(sp);
            sp += 4;
        }
        s.eip = get(sp);
        s.eflags = get(sp + 8);
        s.gpr[kEsp] = get(sp + 12);
        s.cr2 = cpu.cr2;
    }

    Cpu cpu;
    u32 exit = 0;
    u64 retired = 0;

  private:
    struct Window {
        u32 address, size;
        u8* host;
    };
    void page(u64 address, bp_page* p) {
        if (address < kLow) {
            p->read = p->write = low_.data() + address;
        } else {
            for (const Window& w : windows_) {
                if (address >= w.address && address < w.address + w.size)
                    p->read = p->write = w.host + (address - w.address);
            }
        }
        if (p->read != nullptr) p->code_flag = &flags_[address >> 12 & 0xfffff];
    }
    u32 get(u32 at) const {
        u32 v = 0;
        std::memcpy(&v, &low_[at], 4);
        return v;
    }
    void put(u32 at, u32 v) { std::memcpy(&low_[at], &v, 4); }
    void build_tables() {
        put(kTables, (kTables + 0x1000) | 7);
        next_table_ = kTables + 0x1000;
        for (u32 a = 0; a < kLow; a += 0x1000) put(kTables + 0x1000 + (a >> 12) * 4, a | 0x63);  // supervisor
        for (u32 v = 0; v < 48; ++v) {
            const u32 handler = kHandlers + v * 16;
            low_[handler] = 0xf4;  // HLT
            put(kIdt + v * 8, 0x00080000 | (handler & 0xffff));
            put(kIdt + v * 8 + 4, (handler & 0xffff0000) | 0x8e00 | (v == 3 || v == 4 ? 0x6000 : 0));
        }
        const u32 kDescriptors[] = {0, 0, 0xffff, 0xcf9a00, 0xffff, 0xcf9200, 0xffff, 0xcffa00, 0xffff, 0xcff200};
        for (u32 n = 0; n < 10; ++n) put(kGdt + n * 4, kDescriptors[n]);
        put(kTss + 4, kStack0);
        put(kTss + 8, 0x10);
        put(kTss + 100, 0xffff0000);
    }
    void enter() {
        cpu.cr0 = 0x80010031;  // PG WP NE ET PE
        cpu.cr3 = kTables;
        cpu.gdtr = {kGdt, 0x27};
        cpu.idtr = {kIdt, 48 * 8 - 1};
        cpu.tr.selector = 0x28;
        cpu.tr.base = kTss;
        cpu.tr.limit = 103;
        cpu.tr.attr = 0x8b;
        cpu.cpl = 3;
        cpu.set_segment(kCs, 0x1b, 0, 0xffffffff, 0xc0fb);
        for (Seg s : {kEs, kSs, kDs}) cpu.set_segment(s, 0x23, 0, 0xffffffff, 0xc0f3);
        cpu.set_segment(kFs, 0, 0, 0, 0);
        cpu.set_segment(kGs, 0, 0, 0, 0);
        cpu.mode_changed();
    }

    std::vector<u8> low_, flags_;
    std::vector<Window> windows_;
    bp_vcpu vcpu_{};
    bp_cpu_bus bus_{};
    u32 next_table_ = 0;
};

}  // namespace backplane::interp::test
