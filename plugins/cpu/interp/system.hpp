// Shared by the system part: descriptors, stack frames under construction, events (SDM 3, chapters 3, 5 and 6).
//
// All functions here may leave through Cpu::raise(). Nothing here changes registers before the last access that can
// fault, unless its comment says so.
#pragma once

#include "cpu.hpp"
#include "memory.hpp"

namespace backplane::interp {

using Descriptor = Cpu::Descriptor;

// Types of system descriptors (SDM 3, table 3-2).
inline constexpr unsigned kTypeTss16 = 1, kTypeLdt = 2, kTypeTss16Busy = 3, kTypeCallGate16 = 4, kTypeTaskGate = 5,
                          kTypeIntGate16 = 6, kTypeTrapGate16 = 7, kTypeTss32 = 9, kTypeTss32Busy = 11,
                          kTypeCallGate32 = 12, kTypeIntGate32 = 14, kTypeTrapGate32 = 15;
inline constexpr unsigned kTypeBusyBit = 2, kType32Bit = 8;

[[nodiscard]] inline unsigned type_of(const Descriptor& d) { return d.high >> 8 & 15u; }
[[nodiscard]] inline unsigned dpl_of(const Descriptor& d) { return d.high >> 13 & 3u; }
[[nodiscard]] inline bool is_present(const Descriptor& d) { return (d.high & 0x8000u) != 0; }
[[nodiscard]] inline bool is_system(const Descriptor& d) { return (d.high & 0x1000u) == 0; }
[[nodiscard]] inline bool is_code(const Descriptor& d) { return (d.high & 0x1800u) == 0x1800u; }
[[nodiscard]] inline bool is_conforming(const Descriptor& d) { return (d.high & 0x1c00u) == 0x1c00u; }
[[nodiscard]] inline bool is_writable_data(const Descriptor& d) { return (d.high & 0x1a00u) == 0x1200u; }
[[nodiscard]] inline bool is_readable(const Descriptor& d) {  // any data, or readable code
    return !is_system(d) && (d.high & 0xa00u) != 0x800u;
}
// Of a code segment: for 64-bit mode. L and D together are reserved.
[[nodiscard]] inline bool is_long_code(const Descriptor& d) { return (d.high & 0x600000u) == 0x200000u; }
[[nodiscard]] inline bool has_reserved_size(const Descriptor& d) { return (d.high & 0x600000u) == 0x600000u; }
[[nodiscard]] inline bool is_32bit_gate(const Descriptor& d) { return (type_of(d) & kType32Bit) != 0; }
[[nodiscard]] inline u16 gate_selector(const Descriptor& d) { return static_cast<u16>(d.low >> 16); }
[[nodiscard]] inline u32 gate_offset(const Descriptor& d) {
    return is_32bit_gate(d) ? (d.low & 0xffffu) | (d.high & 0xffff0000u) : d.low & 0xffffu;
}

[[nodiscard]] inline bool is_null(u16 selector) { return (selector & 0xfffcu) == 0; }
[[nodiscard]] inline unsigned rpl_of(u16 selector) { return selector & 3u; }
[[nodiscard]] inline bool is_local(u16 selector) { return (selector & 4u) != 0; }

// Raises `vector` with the selector as error code, EXT as the event under delivery demands.
[[noreturn]] inline void refuse(Cpu& c, u8 vector, u16 selector) { c.raise(vector, (selector & 0xfffcu) | c.ext); }

// Linear address of a descriptor.
[[nodiscard]] inline Linear descriptor_address(const Cpu& c, u16 selector) {
    return (is_local(selector) ? c.ldtr.base : c.gdtr.base) + (selector & 0xfff8u);
}
// False if the selector lies outside its table. A null LDTR has limit 0 and therefore holds nothing.
[[nodiscard]] bool read_descriptor(Cpu& c, u16 selector, Descriptor& d);
// The same; outside is `vector`(selector).
[[nodiscard]] Descriptor need_descriptor(Cpu& c, u16 selector, u8 vector);
// Sets the accessed bit of a code or data segment, in memory and in `d`.
void mark_accessed(Cpu& c, u16 selector, Descriptor& d);
void put_segment(Cpu& c, Seg s, u16 selector, const Descriptor& d);
inline void put_null(Cpu& c, Seg s, u16 selector) { c.set_segment(s, selector, 0, 0, 0); }
void put_system_segment(Segment& s, u16 selector, const Descriptor& d);
// Upper half of a system descriptor of long mode, 16 bytes long: bits 63:32 of base or offset. `vector`(selector) if it
// is not in the table or not what it must be.
[[nodiscard]] u64 need_upper_half(Cpu& c, u16 selector, u8 vector);

// Checks a stack segment for privilege level `level`; not present is always #SS.
[[nodiscard]] Descriptor need_stack_segment(Cpu& c, u16 selector, unsigned level, u8 vector);
// After a return to an outer level: data segments that the new level may not use become null (SDM 2, RET).
void drop_inner_segments(Cpu& c);

// Whether [offset, offset+bytes) lies inside the segment, both directions of growth.
[[nodiscard]] bool inside_segment(u16 attr, u32 limit, u32 offset, u32 bytes);

// A stack that receives a frame before anything is committed.
struct Frame {
    u64 base = 0;
    u32 limit = 0;
    u32 sp = 0, mask = 0;
    u32 error = 0;  // of #SS
    u32 bytes = 4;  // of one item
    u16 attr = 0;
    bool user = false;
};
[[nodiscard]] Frame current_stack(const Cpu& c, u32 bytes);
[[nodiscard]] Frame new_stack(const Cpu& c, u16 selector, const Descriptor& d, u32 esp, unsigned level, u32 bytes);
void need_room(Cpu& c, const Frame& f, unsigned items);  // #SS unless `items` more fit
void push(Cpu& c, Frame& f, u32 value);                  // after need_room()

// SS:ESP of an inner level from the TSS, with all checks (#TS, #SS).
struct InnerStack {
    u16 selector = 0;
    u32 esp = 0;
    Descriptor d;
};
[[nodiscard]] InnerStack inner_stack(Cpu& c, unsigned level);

// An event on its way through the IDT. `flags` is the image to be saved.
struct Event {
    u8 vector = 0;
    bool software = false;  // INT n, INT3, INTO: the gate's DPL counts
    bool has_error = false;
    u32 error = 0;
    u32 flags = 0;
};

// Long mode (long_mode.cpp). Stack pointer of an inner level or of an entry of the interrupt stack table.
[[nodiscard]] u64 long_inner_stack(Cpu& c, unsigned level, unsigned ist);
void long_push(Cpu& c, u64& rsp, u64 value, unsigned level);
void put_null_stack(Cpu& c, unsigned level);  // SS after a change to an inner level
void deliver_long(Cpu& c, const Event& e);

// Task switch with every cause's own checks (task.cpp). For kInterrupt the event holds error code and flags to save.
void switch_task(Cpu& c, u16 selector, Cpu::TaskSwitch how, const Event* event);

// DR6 bits (SDM 3, 17.2.3)
inline constexpr u32 kDr6Bd = 1u << 13, kDr6Bs = 1u << 14, kDr6Bt = 1u << 15;
inline constexpr u32 kDr7Gd = 1u << 13, kDr7Locals = 0x155;

}  // namespace backplane::interp
