// A socket for the engine under test: a virtual CPU with the board's memory, filled with random code.
#pragma once

#include <algorithm>

#include "backplane/abi/cpu.h"
#include "backplane/testkit/standin.hpp"

namespace backplane::testkit {

class CpuUser : public Standin {
  public:
    CpuUser(Board& board, u32 number) : Standin(board, number), pages_(board.memory.size() / kPage) {
        random_.fill(board.memory.data(), board.memory.size());
        code_.resize(pages_), dirty_.resize(pages_);
        bus_.size = sizeof bus_, bus_.self = this;
        bus_.page = page, bus_.read = read, bus_.write = write;
        bus_.port_read = port_read, bus_.port_write = port_write;
        bus_.lock = [](void* s) { ++at(s).locked_; };
        bus_.unlock = [](void* s) {
            if (!at(s).locked_--) at(s).blame("it unlocks what it has not locked");
        };
        bus_.now = [](void* s) { return at(s).board_.time; };
    }
    void started() override {
        if (met() && cpu().attach(device_.instance, &vcpu_, &bus_) != BP_OK) blame("attach() fails: " + board_.failure);
    }
    void act(Random& random) override {
        if (!met()) return;
        switch (random.below(16)) {
            case 0: return poke(random);
            case 1: return where();
            case 2: vcpu_.attention |= BP_ATTENTION_VIEW; break;
            case 3: vcpu_.attention |= BP_ATTENTION_STOP; break;
            default: break;
        }
        run(1 + random.below(500));
    }
    void copy(const Standin& other) override {
        Standin::copy(other);
        // The count belongs to the kernel; attention bits ask for nothing but another look.
        vcpu_.instructions = static_cast<const CpuUser&>(other).vcpu_.instructions;
        vcpu_.attention |= BP_ATTENTION_VIEW;
    }

  private:
    static constexpr u64 kPage = 4096;
    static CpuUser& at(void* s) { return *static_cast<CpuUser*>(s); }
    const bp_cpu& cpu() const { return table<bp_cpu>(); }

    void run(u64 instructions) {
        const u64 before = vcpu_.instructions;
        vcpu_.deadline = before + instructions;
        const u32 why = cpu().run(device_.instance);
        if (locked_) blame("run() returns with the machine's lock held");
        if (why < BP_EXIT_DEADLINE || why > BP_EXIT_ERROR) blame("run() returns for no known reason");
        if (why == BP_EXIT_ERROR) blame("the engine cannot go on: " + board_.failure);
        if (why == BP_EXIT_DEADLINE && vcpu_.instructions < vcpu_.deadline) blame("run() returns before its deadline");
        if (vcpu_.instructions < before) blame("it counts instructions backwards");
        vcpu_.attention &= ~u32{BP_ATTENTION_STOP};
        note("cpu: exit %u after %llu instructions", why, static_cast<unsigned long long>(vcpu_.instructions - before));
        if (why == BP_EXIT_SHUTDOWN) {
            // What a board does with a triple fault; other code, or the same would happen again.
            random_.fill(board_.memory.data() + 0xf0000, 0x10000);
            cpu().invalidate(device_.instance, 0, board_.memory.size());
            board_.reset();
        }
    }
    // Somebody else writes into memory, perhaps into code.
    void poke(Random& random) {
        const u64 address = random.below(board_.memory.size() - 8);
        random.fill(board_.memory.data() + address, 8);
        cpu().invalidate(device_.instance, address, 8);
    }
    void where() {
        char text[2000];
        const size_t length = cpu().where(device_.instance, text, sizeof text);
        if (length > sizeof text) blame("where() writes more than there is room for");
        note("cpu: %.*s", static_cast<int>(std::min<size_t>(length, 100)), text);
    }
    // Memory repeats every megabyte below 2 GiB and below 4 GiB; between, each fourth page has no memory.
    bool has_memory(u64 address) const { return address < 0x80000000 || address >= 0xfff00000 || (address >> 12 & 3); }
    static void page(void* s, u64 address, int, bp_page* out) {
        *out = {};
        CpuUser& self = at(s);
        if (!self.has_memory(address)) return;
        const u64 index = address / kPage % self.pages_;
        *out = {self.board_.memory.data() + index * kPage, self.board_.memory.data() + index * kPage,
                &self.code_[index], &self.dirty_[index]};
    }
    static u64 read(void* s, u64 address, u32 bytes, int) {
        CpuUser& self = at(s);
        check_width(self, bytes);
        if (!self.has_memory(address)) return self.random_.next() & Board::ones(bytes);
        u64 value = 0;
        for (u32 i = 0; i < bytes; ++i)
            value |= u64{self.board_.memory[(address + i) % self.board_.memory.size()]} << (8 * i);
        return value;
    }
    static void write(void* s, u64 address, u32 bytes, u64 value, int) {
        CpuUser& self = at(s);
        check_width(self, bytes);
        self.note("cpu: %llx <- %llx", static_cast<unsigned long long>(address),
                  static_cast<unsigned long long>(value));
        if (!self.has_memory(address)) return;
        for (u32 i = 0; i < bytes; ++i)
            self.board_.memory[(address + i) % self.board_.memory.size()] = static_cast<u8>(value >> (8 * i));
    }
    static u64 port_read(void* s, u32 port, u32 bytes) {
        if (port > 0xffff || (bytes != 1 && bytes != 2 && bytes != 4))
            at(s).blame("it reads a port that does not exist");
        return at(s).random_.next() & Board::ones(bytes);
    }
    static void port_write(void* s, u32 port, u32 bytes, u64 value) {
        if (port > 0xffff || (bytes != 1 && bytes != 2 && bytes != 4))
            at(s).blame("it writes a port that does not exist");
        at(s).note("cpu: port %x <- %llx", port, static_cast<unsigned long long>(value));
    }
    static void check_width(CpuUser& self, u32 bytes) {
        if (bytes != 1 && bytes != 2 && bytes != 4 && bytes != 8)
            self.blame("it makes a memory access of an odd width");
    }

    u64 pages_;
    std::vector<u8> code_, dirty_;
    bp_vcpu vcpu_{};
    bp_cpu_bus bus_{};
    u64 locked_ = 0;
};

}  // namespace backplane::testkit
