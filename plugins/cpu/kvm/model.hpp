// The engine as a device. It is the interpreter's processor, whose registers are the declared state, and a processor of
// KVM to which they are lent while the guest runs there. Whatever KVM cannot do the interpreter does meanwhile:
// system management mode, INIT and STARTUP, a closed A20 gate, debuggers, and instructions on which the host fails.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "../interp/model.hpp"
#include "statistics.hpp"
#include "vcpu.hpp"

namespace backplane {

struct KvmCpu : InterpCpu {
    static constexpr std::string_view kType = "cpu.kvm";
    explicit KvmCpu(const Slot& slot) : InterpCpu(slot) {}
    static void describe(Schema<KvmCpu>& s);
    // For types that are this one: T is KvmCpu or derived from it.
    template <class T>
    static void describe_engine(Schema<T>& s);

    bp_status start();
    void stop();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

    void intr_changed(bool level) { InterpCpu::intr_changed(level), attend(); }
    void nmi_changed(bool level) { InterpCpu::nmi_changed(level), attend(); }
    void init_changed(bool level) { InterpCpu::init_changed(level), attend(); }
    void smi_changed(bool level) { InterpCpu::smi_changed(level), attend(); }
    void a20_changed(bool level) { InterpCpu::a20_changed(level), attend(); }
    void ignne_changed(bool level) { InterpCpu::ignne_changed(level), attend(); }

    bp_status attach(bp_vcpu* vcpu, const bp_cpu_bus* bus);
    u32 run();
    void attend();
    void collect_dirty();
    std::size_t where(char* text, std::size_t capacity);
    bp_str list_commands();
    bp_status execute(std::string_view command, void (*answer)(void* context, bp_str json), void* context);
    // The interpreter has the registers from here on. Outside run().
    void take_back();

    bool enforce = false;
    std::string device = "/dev/kvm";
    bool required = false;  // without KVM the machine does not start
    std::string without;    // why KVM does not run the guest; empty: it does
    std::unique_ptr<kvm::Vcpu> hardware;
    kvm::Statistics statistics;

  private:
    using Reason = kvm::Reason;

    bp_status unusable(const std::string& why, const std::string& hint);
    void prepare_hardware();
    // run.cpp
    u32 leave(u32 why);
    bool push();
    void pull();
    [[nodiscard]] Reason obstacle();
    u32 interpret(Reason reason);
    void hold_back(Reason reason, u64 instructions);
    u32 take_attention();
    void offer_events();
    void handle_exit();
    void finish_exit();
    void input_output();
    void memory_access();
    void model_register(bool write);
    void adopt_priority();
    void after_signal();
    [[nodiscard]] kvm_run& area() { return hardware->area(); }
    [[nodiscard]] u32 lines() const { return cpu->lines.load(std::memory_order_acquire); }

    bool lent_ = false;  // KVM has the registers
    bool lent_before_ = false;
    cpumodel::Words prepared_{};  // of the model as KVM knows it
    bool masked_ = false;         // KVM knows which signals end a run
    bool halted_ = false;         // in KVM's hands: HLT waits
    bool interruptible_ = false;  // the guest's IF, of the last exit
    bool ready_ = false;          // the last exit said whether an interrupt can be delivered
    bool unanswered_ = false;     // the last exit was a question whose answer KVM has not taken yet
    bool memory_stale_ = true;
    Reason held_for_ = Reason::kReset;
    u64 hold_ = 1;                      // instructions that the interpreter executes before KVM is tried again
    u64 failures_ = 0, successes_ = 0;  // of KVM: exits since the last failure
    Reason last_reason_ = Reason::kCount;
    u64 tsc_offset_ = 0;  // with which KVM's counter was set
    u32 priority_ = 0;    // CR8, as KVM was told
    u64 apic_base_ = 0;
    u32 reported_ = 0;  // reasons that were logged, as bits
    // To see that nothing goes on.
    i64 sampled_at_ = 0;
    unsigned samples_ = 0;
    kvm_regs sample_{};
    // Time stands still while the machine is paused, and KVM's counter does not.
    i64 left_at_ = 0;
    u64 left_tsc_ = 0;
    bool left_ = false;

    kvm::Signals signals_;
    std::atomic<bool> inside_{false};   // in the guest, or about to be
    std::atomic<bool> running_{false};  // run() is under way
    std::string commands_;
};

// Uses KVM where it works and is the interpreter elsewhere.
struct AutoCpu final : KvmCpu {
    static constexpr std::string_view kType = "cpu.auto";
    explicit AutoCpu(const Slot& slot) : KvmCpu(slot) {}
    static void describe(Schema<AutoCpu>& s);
};

}  // namespace backplane
