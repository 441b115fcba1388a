// The state that all engines share (bp_x86_state) and what KVM keeps of it, one made from the other. No call of the
// host.
#pragma once

#include <backplane/abi/cpu_state.h>
#include <linux/kvm.h>

#include <array>
#include <cstdint>
#include <span>

namespace backplane::kvm {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;

// kvm_xsave without its open end.
using XsaveArea = std::array<u8, 4096>;

struct Registers {
    kvm_regs regs;
    kvm_sregs2 sregs;
    XsaveArea xsave;
    kvm_xcrs xcrs;
    kvm_debugregs debug;
    kvm_vcpu_events events;
};

// What KVM shall run. NMIs that wait are not in it (KVM_NMI), nor the time-stamp counter and other MSRs.
void to_kvm(const bp_x86_state& state, Registers& r);
// Overwrites what KVM keeps; HALTED, the edges that wait, and what belongs to system management mode stay as they are.
void from_kvm(const Registers& r, bp_x86_state& state);

// MSRs that are fields of the state, and the field; nullptr for others. IA32_TSC is not among them.
[[nodiscard]] std::span<const u32> state_msrs();
[[nodiscard]] u64* msr_field(bp_x86_state& state, u32 index);

// Paging by four page-directory pointers, which the processor has loaded with CR3.
[[nodiscard]] bool uses_pdptes(u64 cr0, u64 cr4, u64 efer);

// An event that KVM has begun to deliver and not finished, since the guest's memory was not there or a signal came.
struct Unfinished {
    enum class Kind : u8 { kNone, kException, kInterrupt, kNmi } kind = Kind::kNone;
    u8 vector = 0;
    bool has_error = false;
    u32 error = 0;
};
[[nodiscard]] Unfinished unfinished(const kvm_vcpu_events& events);

kvm_sregs narrow(const kvm_sregs2& s);
void widen(const kvm_sregs& from, kvm_sregs2& to);

}  // namespace backplane::kvm
