// One processor of KVM: the calls of the host that concern it.
#pragma once

#include <signal.h>
#include <time.h>

#include <memory>
#include <string>

#include "features.hpp"
#include "registers.hpp"
#include "vm.hpp"

namespace backplane::kvm {

// Signals that bring a thread out of the guest. They stay blocked outside, so that none is lost and none needs a
// handler: one that comes too early ends the next KVM_RUN at once.
class Signals {
  public:
    static int number();
    // In the thread that will run the guest. From then on one comes each second as well.
    void claim_thread();
    ~Signals();
    void send() const;  // any thread
    static void drain();

  private:
    pthread_t thread_{};
    bool claimed_ = false;
    timer_t timer_{};
    bool timer_made_ = false;
};

class Vcpu {
  public:
    // Throws std::runtime_error.
    Vcpu(std::shared_ptr<Vm> vm, u32 index);
    ~Vcpu();
    Vcpu(const Vcpu&) = delete;
    Vcpu& operator=(const Vcpu&) = delete;

    void set_cpuid(const CpuidTable& table);
    void setup_mce(u64 capabilities, u32 banks);
    // Lets the time-stamp counter run at `hz`; returns what it runs at.
    u64 set_tsc_frequency(u64 hz);
    void set_tsc(u64 value);
    [[nodiscard]] u64 host_tsc_hz() const { return host_tsc_hz_; }
    void set_signal_mask();

    // The whole state; throws if the host refuses it. MSRs that it has not are left out.
    void store(const bp_x86_state& state);
    // Overwrites what KVM keeps of it.
    void load(bp_x86_state& state, Unfinished& event);
    [[nodiscard]] u64 read_msr(u32 index, u64 otherwise);
    bool write_msr(u32 index, u64 value);

    // 0, or the error number. EINTR after a signal.
    int run();
    // What the last exit asked for has been done: KVM takes the answer, and the state is whole. False: it asks for
    // more.
    bool complete();
    bool interrupt(u8 vector);
    bool nmi();
    bool guest_debug(const kvm_guest_debug& what);

    [[nodiscard]] kvm_run& area() { return *run_; }
    [[nodiscard]] const kvm_run& area() const { return *run_; }
    [[nodiscard]] Vm& vm() { return *vm_; }
    [[nodiscard]] const kvm_regs* registers() const {
        return vm_->host().sync_registers ? &run_->s.regs.regs : nullptr;
    }

  private:
    void set(unsigned long request, void* what, const char* name);
    void get(unsigned long request, void* what, const char* name);

    std::shared_ptr<Vm> vm_;
    Descriptor fd_;
    kvm_run* run_ = nullptr;
    std::vector<u32> msrs_;        // of state_msrs(), those that this host has
    std::vector<u64> msr_stored_;  // what was stored last, so that little is stored anew
    bool msrs_known_ = false;
    bool msrs_fresh_ = false;  // msr_stored_ is what KVM has
    bool xcrs_ = false;
    bool tsc_attribute_ = false;  // the counter's offset can be set
    u64 host_tsc_hz_ = 1'000'000'000;
};

// Registers of the host's processor that state_msrs() does not list.
inline constexpr u32 kMsrTsc = 0x10;

}  // namespace backplane::kvm
