// A socket for the engine under test: a virtual CPU with the board's memory, filled with random code.
#pragma once

#include <algorithm>

#include "backplane/abi/cpu.h"
#include "backplane/testkit/standin.hpp"

namespace backplane::testkit {

class CpuUser : public Standin {
  public:
    CpuUser(Board& board, u32 number) : Standin(board, number), rom_(0x10000) {
        write_code(board.memory.data(), board.memory.size());
        write_code(rom_.data(), rom_.size());
        code_.resize(board.memory.size() / kPage), dirty_.resize(board.memory.size() / kPage);
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
    void sweep() override {
        if (!met()) return;
        where();
        run(1000);
        where();
    }
    void memory_written(u64 address, u64 size) override {
        if (met()) cpu().invalidate(device_.instance, address, size);
    }
    void copy(const Standin& other) override {
        Standin::copy(other);
        // The count belongs to the kernel; attention bits ask for nothing but another look.
        vcpu_.instructions = static_cast<const CpuUser&>(other).vcpu_.instructions;
        vcpu_.attention |= BP_ATTENTION_VIEW;
    }

  private:
    static constexpr u64 kPage = 4096, kRomStart = 0xffff0000;
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
            write_code(board_.memory.data(), 0x10000);
            memory_written(0, 0x10000);
            board_.reset();
        }
    }
    // Noise, seasoned with IA-32 instructions that ask for registers which noise seldom reaches. To another instruction
    // set they are noise as well.
    void write_code(u8* memory, u64 size) {
        static constexpr std::string_view kSeasoning[] = {
            "\xdb\xe3",                          // FNINIT
            "\xdd\x36\x20\x20",                  // FNSAVE
            "\xdd\x26\x20\x20",                  // FRSTOR
            "\xd9\xe8",                          // FLD1
            "\xd9\xeb\xd9\xc9",                  // FLDPI, FXCH
            "\xd9\x36\x20\x22",                  // FNSTENV
            "\xd9\x2e\x20\x22",                  // FLDCW
            "\x0f\x01\x06\x20\x23",              // SGDT
            "\x0f\x01\x16\x20\x23",              // LGDT
            "\x0f\x01\x0e\x20\x24",              // SIDT
            "\x0f\x20\xd0",                      // MOV EAX, CR2
            "\x0f\x22\xd0",                      // MOV CR2, EAX
            "\x0f\x20\xe0",                      // MOV EAX, CR4
            "\x0f\x21\xc8",                      // MOV EAX, DR1
            "\x0f\x23\xc8",                      // MOV DR1, EAX
            "\x0f\x21\xf8",                      // MOV EAX, DR7
            "\x0f\x31",                          // RDTSC
            "\xfb\x8e\xd0",                      // STI; MOV SS, AX
            "\x9c\x58",                          // PUSHF; POP AX
            "\x06\x1f",                          // PUSH ES; POP DS
            "\x0f\x20\xc0\x0c\x01\x0f\x22\xc0",  // CR0.PE = 1
        };
        static constexpr u16 kMsrs[] = {0x10,  0x17,  0x1b,  0x2a,  0x8b,  0xc1,  0xfe,  0x174, 0x175, 0x176,
                                        0x179, 0x17a, 0x186, 0x1d9, 0x200, 0x250, 0x277, 0x2ff, 0x400, 0x401};
        random_.fill(memory, size);
        for (u64 at = 0; at + 32 <= size; at += 8 + random_.below(32)) {
            if (random_.one_in(4)) {  // MOV ECX, number; RDMSR or WRMSR
                const u16 msr = random_.pick(kMsrs);
                const u8 code[] = {0x66,
                                   0xb9,
                                   static_cast<u8>(msr),
                                   static_cast<u8>(msr >> 8),
                                   0,
                                   0,
                                   0x0f,
                                   random_.one_in(2) ? u8{0x32} : u8{0x30}};
                std::copy(std::begin(code), std::end(code), memory + at);
                continue;
            }
            const std::string_view code = random_.pick(kSeasoning);
            std::copy(code.begin(), code.end(), memory + at);
        }
    }
    // Somebody else writes into memory, perhaps into code.
    void poke(Random& random) {
        const u64 address = random.below(board_.memory.size() - 8);
        random.fill(board_.memory.data() + address, 8);
        memory_written(address, 8);
    }
    void where() {
        char text[2000];
        const size_t length = cpu().where(device_.instance, text, sizeof text);
        if (length > sizeof text) blame("where() writes more than there is room for");
        if (board_.observe) board_.observe(std::string(text, length));
    }
    // The board's memory from 0 on, a ROM below 4 GiB; what is between answers through calls only.
    u64 memory_size() const { return board_.memory.size(); }
    bool is_memory(u64 address) const { return address < memory_size(); }
    bool is_rom(u64 address) const { return address >= kRomStart && address - kRomStart < rom_.size(); }
    static void page(void* s, u64 address, int, bp_page* out) {
        *out = {};
        CpuUser& self = at(s);
        const u64 first = address & ~(kPage - 1), index = address / kPage;
        if (self.is_memory(address))
            *out = {self.board_.memory.data() + first, self.board_.memory.data() + first, &self.code_[index],
                    &self.dirty_[index]};
        else if (self.is_rom(address))
            out->read = self.rom_.data() + (first - kRomStart);
    }
    u8 byte(u64 address) {
        if (is_memory(address)) return board_.memory[address];
        return is_rom(address) ? rom_[address - kRomStart] : static_cast<u8>(random_.next() >> 32);
    }
    static u64 read(void* s, u64 address, u32 bytes, int) {
        check_width(at(s), bytes);
        u64 value = 0;
        for (u32 i = 0; i < bytes; ++i) value |= u64{at(s).byte(address + i)} << (8 * i);
        return value;
    }
    static void write(void* s, u64 address, u32 bytes, u64 value, int) {
        CpuUser& self = at(s);
        check_width(self, bytes);
        self.note("cpu: %llx <- %llx", static_cast<unsigned long long>(address),
                  static_cast<unsigned long long>(value));
        for (u32 i = 0; i < bytes; ++i) {
            if (!self.is_memory(address + i)) continue;
            self.board_.memory[address + i] = static_cast<u8>(value >> (8 * i));
            if (self.code_[(address + i) / kPage]) self.memory_written(address + i, 1);
        }
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

    std::vector<u8> rom_;  // the same for all of this number
    std::vector<u8> code_, dirty_;
    bp_vcpu vcpu_{};
    bp_cpu_bus bus_{};
    u64 locked_ = 0;
};

}  // namespace backplane::testkit
