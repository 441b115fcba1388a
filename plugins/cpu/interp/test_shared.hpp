// Several processors, each in a thread of its own, over one memory; without a machine.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <deque>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include "block.hpp"
#include "memory.hpp"

namespace backplane::interp::shared_test {

class Machine {
  public:
    static constexpr u64 kSize = 16u << 20;
    static constexpr u64 kTables = 0x1000, kStacks = 0x10000, kCode = 0x20000, kData = 0x40000;
    static constexpr u64 kSmallPages = 2u << 20;  // [2M, 4M) has pages of 4K, everything else of 2M
    static constexpr u64 kTable = kTables + 0x3000;

    explicit Machine(unsigned count, bool told = true)
        : ram_(static_cast<u8*>(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
        REQUIRE(ram_ != MAP_FAILED);
        // Identity: one entry each at the top, 2M pages below.
        poke<u64>(kTables, (kTables + 0x1000) | 7u);
        poke<u64>(kTables + 0x1000, (kTables + 0x2000) | 7u);
        for (u64 n = 0; n <= kSize >> 21; ++n) poke<u64>(kTables + 0x2000 + 8 * n, n << 21 | 0x87u);
        poke<u64>(kTables + 0x2008, kTable | 7u);
        for (u64 n = 0; n < 512; ++n) poke<u64>(kTable + 8 * n, (kSmallPages + (n << 12)) | 7u);
        for (unsigned n = 0; n < count; ++n) {
            One& one = all_.emplace_back();
            one.machine = this;
            one.shared.index = n;
            one.shared.deadline = ~0ull;
            start_state(one, told);
        }
    }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine() { ::munmap(ram_, kSize); }

    template <typename T>
    [[nodiscard]] T peek(u64 at) const {
        T v;
        std::memcpy(&v, ram_ + at, sizeof v);
        return v;
    }
    template <typename T>
    void poke(u64 at, T v) {
        std::memcpy(ram_ + at, &v, sizeof v);
    }
    // 64-bit code, ends with HLT.
    void code(u64 at, std::string_view hex) {
        const auto digit = [](char d) { return d <= '9' ? d - '0' : d - 'a' + 10; };
        for (std::size_t n = 0; n + 1 < hex.size(); n += 2)
            ram_[at++] = static_cast<u8>(digit(hex[n]) << 4 | digit(hex[n + 1]));
    }
    u8* memory(u64 at) { return ram_ + at; }
    [[nodiscard]] u8 flag(u64 at) const { return flags_[at >> 12]; }
    Cpu& cpu(unsigned n) { return all_[n].cpu; }
    void begin(unsigned n, u64 at) {
        Cpu& c = cpu(n);
        c.eip = c.prev_eip = at;
        c.gpr[kEsp] = kStacks + (n + 1) * 0x1000;
        c.halted = false;
    }
    // All of them until each has halted, or (not 0) so long; then they are stopped, or told by a byte in memory.
    void run(std::chrono::milliseconds limit = {}, u64 tell = 0) {
        std::vector<std::thread> threads;
        std::vector<u32> why(all_.size());
        std::atomic<unsigned> left = static_cast<unsigned>(all_.size());
        for (std::size_t n = 0; n < all_.size(); ++n) {
            threads.emplace_back([this, n, &why, &left] {
                why[n] = all_[n].cpu.run();
                --left;
            });
        }
        const auto wait = [&left](std::chrono::milliseconds time) {
            const auto until = std::chrono::steady_clock::now() + time;
            while (left != 0 && std::chrono::steady_clock::now() < until)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        };
        if (limit.count() != 0) {
            wait(limit);
            if (tell != 0) {
                __atomic_store_n(ram_ + tell, u8{1}, __ATOMIC_SEQ_CST);
                wait(std::chrono::seconds(10));
            }
            for (One& one : all_) __atomic_fetch_or(&one.shared.attention, BP_ATTENTION_STOP, __ATOMIC_RELEASE);
        }
        for (std::thread& t : threads) t.join();
        for (One& one : all_) one.shared.attention &= ~u32{BP_ATTENTION_STOP};
        for (const u32 w : why) CHECK((w == BP_EXIT_HALT || (w == BP_EXIT_STOP && limit.count() != 0 && tell == 0)));
    }
    // Everybody forgets what was decoded, and nobody has a flag.
    void forget_code() {
        for (One& one : all_) {
            one.cpu.cache->flush(&one.cpu);
            one.cpu.tlb_flush(true);
        }
    }
    u64 told_written = 0;  // under the lock

  private:
    struct One {
        Machine* machine = nullptr;
        bp_vcpu shared{};
        Cpu cpu;
    };

    void start_state(One& one, bool told) {
        bp_cpu_bus bus{};
        bus.size = sizeof bus;
        bus.self = &one;
        bus.page = [](void* self, u64 address, int, bp_page* out) {
            Machine& m = of(self);
            *out = bp_page{};
            if (address >= kSize) return;
            out->read = out->write = m.ram_ + (address & ~0xfffull);
            out->code_flag = &m.flags_[address >> 12];
        };
        // Beyond memory there is one register of eight bytes.
        bus.read = [](void* self, u64, u32, int) -> u64 {
            const std::lock_guard guard(of(self).lock_);
            return of(self).register_;
        };
        bus.write = [](void* self, u64, u32, u64 value, int) {
            const std::lock_guard guard(of(self).lock_);
            of(self).register_ = value;
        };
        bus.port_read = [](void*, u32, u32) -> u64 { return ~0ull; };
        bus.port_write = [](void*, u32, u32, u64) {};
        bus.lock = [](void* self) { of(self).lock_.lock(); };
        bus.unlock = [](void* self) { of(self).lock_.unlock(); };
        bus.now = [](void*) -> i64 { return 0; };
        if (told) {
            bus.code_cached = [](void* self, u64 address) {
                const std::lock_guard guard(of(self).lock_);
                for (One& other : of(self).all_)
                    if (&other != self) other.cpu.code_cached_by_other(address);
            };
            bus.code_written = [](void* self, u64 address, u64 size) {
                const std::lock_guard guard(of(self).lock_);
                ++of(self).told_written;
                for (One& other : of(self).all_)
                    if (&other != self) other.cpu.invalidate(address, size);
            };
            bus.code_settled = [](void* self) -> u32 {
                for (One& other : of(self).all_)
                    if (&other != self &&
                        (__atomic_load_n(&other.shared.attention, __ATOMIC_ACQUIRE) & BP_ATTENTION_CODE) != 0)
                        return 0;
                return 1;
            };
        }
        Cpu& c = one.cpu;
        c.model = find_model("qemu64");
        c.attach(&one.shared, &bus);
        c.reset(true);
        c.cr4 = kCr4Pae;
        c.cr3 = kTables;
        c.msr.efer = kEferLme | kEferLma;
        c.cr0 = kCr0Pe | kCr0Pg | kCr0Et;
        c.set_segment(kCs, 8, 0, 0xffffffff, 0xa09b);
        for (const Seg s : {kEs, kSs, kDs}) c.set_segment(s, 16, 0, 0xffffffff, 0xc093);
        c.tlb_flush(true);
    }
    static Machine& of(void* self) { return *static_cast<One*>(self)->machine; }

    u8* ram_;
    std::vector<u8> flags_ = std::vector<u8>(kSize >> 12);
    std::deque<One> all_;
    std::recursive_mutex lock_;
    u64 register_ = 0;
    friend u64 register_of(const Machine& m);
};
inline u64 register_of(const Machine& m) { return m.register_; }

}  // namespace backplane::interp::shared_test
