// A processor with RAM and nothing else, for tests of the system part. Functions of the Cpu are called directly; what
// they raise comes back as a value.
#pragma once

#include <csetjmp>
#include <cstring>
#include <initializer_list>
#include <ostream>
#include <vector>

#include "system.hpp"

namespace backplane::interp {

// What an operation ended with. vector -1: no fault.
struct Outcome {
    int vector = -1;
    i64 error = -1;  // -1: without error code
    friend bool operator==(const Outcome& a, const Outcome& b) { return a.vector == b.vector && a.error == b.error; }
    friend std::ostream& operator<<(std::ostream& out, const Outcome& o) {
        if (o.vector < 0) return out << "no fault";
        return out << "vector " << o.vector << " error " << o.error;
    }
};
inline constexpr Outcome kFine{};
inline Outcome fault(int vector, i64 error = -1) { return {vector, error}; }

// Access bytes and flags of descriptors.
inline constexpr u32 kCode = 0x9a, kData = 0x92, kRing3 = 0x60, kNotPresent = 0x80, kBig = 0x4, k4K = 0x8;

class Bench {
  public:
    static constexpr u32 kGdt = 0x1000, kIdt = 0x2000, kLdt = 0x3000, kTss = 0x4000, kStack0 = 0x9000, kStack3 = 0xb000;
    // Standard selectors of fill_gdt().
    static constexpr u16 kCode0 = 0x08, kData0 = 0x10, kCode3 = 0x1b, kData3 = 0x23, kTssSel = 0x28, kLdtSel = 0x30,
                         kFree = 0x38;  // first free one

    std::vector<u8> ram = std::vector<u8>(1u << 20);
    std::vector<u8> code_flags = std::vector<u8>(256);
    bp_vcpu vcpu{};
    bp_cpu_bus bus{};
    Cpu cpu;

    Bench() {
        bus.size = sizeof bus;
        bus.self = this;
        bus.page = page;
        bus.read = [](void*, u64, u32 bytes, int) -> u64 { return bytes == 8 ? ~0ull : (1ull << bytes * 8) - 1; };
        bus.write = [](void*, u64, u32, u64, int) {};
        bus.port_read = [](void*, u32, u32 bytes) -> u64 { return (1ull << bytes * 8) - 1; };
        bus.port_write = [](void*, u32, u32, u64) {};
        bus.lock = [](void*) {};
        bus.unlock = [](void*) {};
        bus.now = [](void*) -> i64 { return 0; };
        vcpu.deadline = ~0ull;
        cpu.model = find_model("pentium2");
        cpu.attach(&vcpu, &bus);
        cpu.reset(true);
    }

    // --- memory ----------------------------------------------------------------------------------------------------
    template <typename T>
    [[nodiscard]] T peek(u32 at) const {
        T v;
        std::memcpy(&v, &ram[at], sizeof v);
        return v;
    }
    template <typename T>
    void poke(u32 at, T v) {
        std::memcpy(&ram[at], &v, sizeof v);
    }
    [[nodiscard]] std::vector<u32> dwords(u32 at, u32 count) const {
        std::vector<u32> v;
        for (u32 i = 0; i < count; ++i) v.push_back(peek<u32>(at + 4 * i));
        return v;
    }
    [[nodiscard]] std::vector<u32> words(u32 at, u32 count) const {
        std::vector<u32> v;
        for (u32 i = 0; i < count; ++i) v.push_back(peek<u16>(at + 2 * i));
        return v;
    }

    // --- tables ----------------------------------------------------------------------------------------------------
    static u64 segment(u32 base, u32 limit, u32 access, u32 flags = kBig) {
        return (limit & 0xffffu) | static_cast<u64>(base & 0xffffffu) << 16 | static_cast<u64>(access) << 40 |
               static_cast<u64>(limit >> 16 & 15u) << 48 | static_cast<u64>(flags) << 52 |
               static_cast<u64>(base >> 24) << 56;
    }
    static u64 gate(u16 selector, u32 offset, u32 access, u32 count = 0) {
        return (offset & 0xffffu) | static_cast<u64>(selector) << 16 | static_cast<u64>(count) << 32 |
               static_cast<u64>(access) << 40 | static_cast<u64>(offset >> 16) << 48;
    }
    void gdt(u16 selector, u64 descriptor) { poke(kGdt + (selector & 0xfff8u), descriptor); }
    void ldt(u16 selector, u64 descriptor) { poke(kLdt + (selector & 0xfff8u), descriptor); }
    void idt(u8 vector, u64 descriptor) { poke(kIdt + vector * 8u, descriptor); }

    // Protected mode at `level`, 32-bit flat segments, a TSS with a ring 0 stack, an LDT, an empty IDT.
    void protect(unsigned level = 0) {
        gdt(kCode0, segment(0, 0xfffff, kCode, kBig | k4K));
        gdt(kData0, segment(0, 0xfffff, kData, kBig | k4K));
        gdt(kCode3, segment(0, 0xfffff, kCode | kRing3, kBig | k4K));
        gdt(kData3, segment(0, 0xfffff, kData | kRing3, kBig | k4K));
        gdt(kTssSel, segment(kTss, 0x2067, 0x8b, 0));
        gdt(kLdtSel, segment(kLdt, 0x7f, 0x82, 0));
        poke<u32>(kTss + 4, kStack0);
        poke<u32>(kTss + 8, kData0);
        poke<u16>(kTss + 0x66, 0x68);
        cpu.gdtr = {kGdt, 0xff};
        cpu.idtr = {kIdt, 0x7ff};
        cpu.cr0 |= kCr0Pe;
        cpu.ldtr.selector = kLdtSel;
        cpu.ldtr.base = kLdt;
        cpu.ldtr.limit = 0x7f;
        cpu.ldtr.attr = 0x82;
        cpu.tr.selector = kTssSel;
        cpu.tr.base = kTss;
        cpu.tr.limit = 0x2067;
        cpu.tr.attr = 0x8b;
        enter(level);
    }
    void enter(unsigned level) {
        const u16 dpl = static_cast<u16>(level << 5);
        cpu.set_cpl(level);
        cpu.set_segment(kCs, static_cast<u16>(level == 0 ? kCode0 : kCode3), 0, 0xffffffff,
                        static_cast<u16>(0xc09b | dpl));
        for (const Seg s : {kEs, kSs, kDs, kFs, kGs}) {
            cpu.set_segment(s, static_cast<u16>(level == 0 ? kData0 : kData3), 0, 0xffffffff,
                            static_cast<u16>(0xc093 | dpl));
        }
        cpu.r32(kEsp) = level == 0 ? kStack0 : kStack3;
        at(0x7000);
    }
    // Virtual-8086 mode at 0000:7000 with stack 0B00:0100 and all data segments different.
    void virtualize(unsigned iopl) {
        cpu.set_flags(kVm | kFixed1 | iopl << kIoplShift | kIf);
        cpu.set_cpl(3);
        const u16 selectors[kSegCount] = {0x111, 0, 0xb00, 0x222, 0x333, 0x444};
        for (const Seg s : {kEs, kCs, kSs, kDs, kFs, kGs}) cpu.set_segment_real(s, selectors[s]);
        cpu.r32(kEsp) = 0x100;
        at(0x7000);
    }
    void at(u32 eip) {
        cpu.eip = eip;
        cpu.prev_eip = eip;
    }
    // Identity-maps the RAM with 4K pages; user pages, writable.
    void enable_paging() {
        constexpr u32 directory = 0xf0000, table = 0xf1000;
        poke<u32>(directory, table | 7u);
        for (u32 i = 0; i < 256; ++i) poke<u32>(table + 4 * i, i << 12 | 7u);
        cpu.cr3 = directory;
        cpu.cr0 |= kCr0Pg;
        cpu.tlb_flush(true);
        cpu.mode_changed();
    }
    void page_bits(u32 address, u32 bits) {
        poke<u32>(0xf1000 + (address >> 12) * 4, (address & ~0xfffu) | bits);
        cpu.tlb_flush(true);
    }

    // Runs something that may raise.
    template <typename F>
    Outcome outcome(F operation) {
        cpu.insn = nullptr;
        cpu.ext = 0;
        cpu.delivering = -1;
        if (setjmp(cpu.fault_exit) != 0) {
            return {cpu.fault.vector, cpu.fault.has_error ? static_cast<i64>(cpu.fault.error) : -1};
        }
        operation();
        return kFine;
    }
    // Delivers a fault with everything that follows from it, as the run loop does.
    void deliver(u8 vector, bool has_error = false, u32 error = 0) {
        cpu.fault = {vector, has_error, error};
        cpu.insn = nullptr;
        if (setjmp(cpu.fault_exit) != 0) cpu.eip = cpu.prev_eip;
        cpu.deliver_fault(cpu.fault);
    }

  private:
    static void page(void* self, u64 address, int, bp_page* out) {
        auto* b = static_cast<Bench*>(self);
        *out = bp_page{};
        if (address >= b->ram.size()) return;
        out->read = &b->ram[address & ~0xfffull];
        out->write = out->read;
        out->code_flag = &b->code_flags[address >> 12];
    }
};

}  // namespace backplane::interp
