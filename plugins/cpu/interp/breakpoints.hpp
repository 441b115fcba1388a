// What a debugger outside the machine asks for (bp.cpu.debug/1): breakpoints, watchpoints, single steps. Nothing here
// is part of the processor's state, and a program cannot see it.
//
// Breakpoints cost nothing where there are none: a block of decoded code ends before an address whose offset in its
// page is that of a breakpoint, and the block that begins there has a single handler, which goes back to the run loop.
// The loop compares linear addresses. (Blocks are found by physical address, so the offset is all they have in common.)
// Watchpoints use the mark in the TLB that data breakpoints use.
#pragma once

#include <backplane/abi/cpu_state.h>

#include <bitset>
#include <cstddef>
#include <vector>

#include "cpu.hpp"

namespace backplane::interp {

class Breakpoints {
  public:
    static constexpr std::size_t kMost = 4096, kMostWatched = 64;

    bp_status add(Cpu& c, u64 address);
    bp_status remove(u64 address);
    bp_status watch(Cpu& c, u64 address, u32 length, u32 access);
    bp_status unwatch(Cpu& c, u64 address, u32 length, u32 access);
    void clear(Cpu& c);
    void request_step(u32 mode);
    [[nodiscard]] const bp_cpu_stop& last() const { return last_; }
    // Somebody waits for something, or has not been told of it yet.
    [[nodiscard]] bool active() const {
        return !at_.empty() || !watched_.empty() || step_ != BP_STEP_OFF || step_done_ || hit_;
    }

    // The run loop's side.
    void begin(Cpu& c);                           // run() begins
    [[nodiscard]] bool stop_due();                // a step is done, or a watchpoint was hit
    [[nodiscard]] bool stops_before(u64 linear);  // a breakpoint at the next instruction
    // The next instruction runs in a block of its own.
    [[nodiscard]] bool single(u64 linear) const { return step_ != BP_STEP_OFF || cut_[linear & 0xfffu]; }
    [[nodiscard]] u32 held_lines(const Cpu& c) const;  // events that wait, as bits of Cpu::lines
    void executed(const Cpu& c, u64 begun_at);         // an instruction or block that began at this EIP
    void delivered();                                  // an interrupt or exception
    void faulted();                                    // the instruction was taken back
    // Decoding: a block must not go on at this offset in a page.
    [[nodiscard]] bool cuts(u64 offset) const { return cut_[offset & 0xfffu]; }
    // The TLB's side.
    [[nodiscard]] bool watches_page(u64 page) const;
    void accessed(Cpu& c, u64 address, u32 bytes, bool write);

  private:
    struct Watch {
        u64 address;
        u32 length, access;
        bool operator==(const Watch&) const = default;
    };
    std::vector<u64> at_;  // sorted
    std::vector<Watch> watched_;
    std::bitset<4096> wanted_;  // offsets of breakpoints in their pages
    std::bitset<4096> cut_;     // where cached code is cut; what is no longer wanted goes when code is dropped anyway
    u32 step_ = BP_STEP_OFF;
    bool step_done_ = false;
    bool hit_ = false;   // a watchpoint: hit_stop_
    bool over_ = false;  // the breakpoint at over_at_ has stopped the program; now it goes on
    u64 over_at_ = 0;
    bp_cpu_stop hit_stop_{};
    bp_cpu_stop last_{};
};

[[nodiscard]] Breakpoints& breakpoints(Cpu& c);  // made when they are first asked for

// inspect.cpp
[[nodiscard]] i64 translate_quietly(const Cpu& c, u64 address, u32 how);
u64 copy_from_guest(const Cpu& c, u64 address, void* data, u64 size, u32 how);
u64 copy_to_guest(Cpu& c, u64 address, const void* data, u64 size, u32 how);

// export.cpp
void export_state(const Cpu& c, bp_x86_state& state);  // all of it
// nullptr, or why no processor of this model can be in that state; then nothing has changed.
[[nodiscard]] const char* import_state(Cpu& c, const bp_x86_state& state);
[[nodiscard]] u32 debug_features(const CpuModel& model);

}  // namespace backplane::interp
