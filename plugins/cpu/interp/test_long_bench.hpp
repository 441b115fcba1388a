// The engine running 64-bit user code at CPL 3 with four-level paging, ended by whatever exception the code ends in.
#pragma once

#include <cstring>
#include <vector>

#include "block.hpp"
#include "memory.hpp"
#include "test_long_host.hpp"

namespace backplane::interp::test {

class LongBench {
  public:
    static constexpr u32 kTop = 0x1000, kPointers = 0x2000, kDirectory = 0x3000, kLowTable = 0x4000,
                         kNextTable = 0x5000;
    static constexpr u32 kIdt = 0x8000, kGdt = 0x9000, kTss = 0xa000, kStack0 = 0xc000, kHandlers = 0xd000;
    static constexpr u32 kLow = 0x10000;

    LongBench() : low_(kLow + 0x1000), flags_(1u << 20) {
        bus_.size = sizeof bus_;
        bus_.self = this;
        bus_.page = [](void* self, u64 address, int, bp_page* p) { static_cast<LongBench*>(self)->page(address, p); };
        bus_.read = [](void*, u64, u32 bytes, int) -> u64 { return bytes == 8 ? ~0ull : (1ull << bytes * 8) - 1; };
        bus_.write = [](void*, u64, u32, u64, int) {};
        bus_.port_read = [](void*, u32, u32) -> u64 { return 0; };
        bus_.port_write = [](void*, u32, u32, u64) {};
        bus_.lock = bus_.unlock = [](void*) {};
        bus_.now = [](void*) -> int64_t { return 0; };
        vcpu_.deadline = ~0ull;
        cpu.model = find_model("qemu64");
        // As if there were other processors: locked instructions have handlers of their own then.
        bus_.code_cached = [](void*, u64) {};
        bus_.code_written = [](void*, u64, u64) {};
        bus_.code_settled = [](void*) -> u32 { return 1; };
        cpu.attach(&vcpu_, &bus_);
        cpu.reset(true);
        build_tables();
    }

    // Makes host memory visible at the same linear (and physical) address below 1G, user-accessible.
    void map(u32 address, u8* host, u32 size, bool writable) {
        windows_.push_back({address, size, host});
        for (u32 a = address; a < address + size; a += 0x1000) {
            const u32 pde = kDirectory + (a >> 21) * 8;
            if (get(pde) == 0) {
                put(pde, next_table_ | 7);
                next_table_ += 0x1000;
            }
            put((get(pde) & ~0xfffull) + (a >> 12 & 0x1ffu) * 8, a | 0x65 | (writable ? 2 : 0));
        }
    }
    // Tells the engine that host code changed the bytes there.
    void touched(u32 address, u32 size) { cpu.cache->store(address, size); }

    void run(LongState& s, u64 budget = 100000) {
        for (unsigned n = 0; n < 16; ++n) cpu.gpr[n] = s.gpr[n];
        enter();
        cpu.eip = s.rip;
        cpu.set_flags(static_cast<u32>(s.rflags) | 2);
        cpu.halted = false;
        vcpu_.deadline = cpu.count + budget;
        exit = cpu.run();
        vcpu_.deadline = ~0ull;
        for (unsigned n = 0; n < 16; ++n) s.gpr[n] = cpu.gpr[n];
        s.rflags = cpu.flags();
        s.rip = cpu.eip;
        s.vector = 0xff;
        s.error = 0;
        if (exit != BP_EXIT_HALT) return;
        s.vector = static_cast<u32>((cpu.eip - 1 - kHandlers) / 16);
        u64 sp = cpu.gpr[kEsp];
        static constexpr u32 kWithError = 1u << 8 | 0x7fu << 10 | 1u << 17;
        if ((kWithError >> s.vector & 1u) != 0 && s.vector != 15 && s.vector != 16) {
            s.error = static_cast<u32>(get(sp));
            sp += 8;
        }
        s.rip = get(sp);
        s.rflags = get(sp + 16);
        s.gpr[kEsp] = get(sp + 24);
        s.cr2 = cpu.cr2;
    }

    Cpu cpu;
    u32 exit = 0;
    u32 more_cr4 = 0;

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
    [[nodiscard]] u64 get(u64 at) const {
        u64 v = 0;
        std::memcpy(&v, &low_[at], 8);
        return v;
    }
    void put(u64 at, u64 v) { std::memcpy(&low_[at], &v, 8); }
    void build_tables() {
        put(kTop, kPointers | 7);
        put(kPointers, kDirectory | 7);
        put(kDirectory, kLowTable | 7);
        for (u32 a = 0; a < kLow; a += 0x1000) put(kLowTable + (a >> 12) * 8, a | 0x63);  // supervisor
        for (u32 v = 0; v < 48; ++v) {
            const u32 handler = kHandlers + v * 16;
            low_[handler] = 0xf4;  // HLT
            const u32 type = 0x8e00u | (v == 3 || v == 4 ? 0x6000u : 0u);
            put(kIdt + v * 16, (handler & 0xffffu) | 0x00080000u | static_cast<u64>(type) << 32);
        }
        put(kGdt + 0x08, 0x00209a0000000000ull);
        put(kGdt + 0x10, 0x00cf92000000ffffull);
        put(kGdt + 0x18, 0x0020fa0000000000ull);
        put(kGdt + 0x20, 0x00cff2000000ffffull);
        put(kTss + 4, kStack0);
        put(kTss + 100, 0xffff0000ull);
    }
    void enter() {
        cpu.msr.efer = kEferLme | kEferLma | kEferNxe | kEferSce;
        cpu.cr4 = kCr4Pae | kCr4Pge | kCr4Osfxsr | kCr4Osxmmexcpt | more_cr4;
        cpu.cr0 = 0x80010031;  // PG WP NE ET PE
        cpu.cr3 = kTop;
        cpu.gdtr = {kGdt, 0x27};
        cpu.idtr = {kIdt, 48 * 16 - 1};
        cpu.tr.selector = 0x28;
        cpu.tr.base = kTss;
        cpu.tr.limit = 103;
        cpu.tr.attr = 0x8b;
        cpu.cpl = 3;
        cpu.set_segment(kCs, 0x1b, 0, 0xffffffff, 0x20fb);
        for (Seg s : {kEs, kSs, kDs}) cpu.set_segment(s, 0x23, 0, 0xffffffff, 0xc0f3);
        cpu.set_segment(kFs, 0, 0, 0, 0);
        cpu.set_segment(kGs, 0, 0, 0, 0);
        cpu.mode_changed();
    }

    std::vector<u8> low_, flags_;
    std::vector<Window> windows_;
    bp_vcpu vcpu_{};
    bp_cpu_bus bus_{};
    u32 next_table_ = kNextTable;
};

}  // namespace backplane::interp::test
