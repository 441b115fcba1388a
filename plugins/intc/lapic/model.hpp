// Local APIC of an IA-32 processor in xAPIC mode, version 11h with six local vectors (Intel SDM volume 3, chapter
// "Advanced Programmable Interrupt Controller"). Stands between the bus of interrupt messages, a PIC and one processor.
#pragma once

#include <array>

#include "backplane/abi/apic.h"
#include "backplane/abi/cpu.h"
#include "backplane/device.hpp"
#include "registers.hpp"
#include "vectors.hpp"

namespace backplane::intc {

class LocalApic : public Device<LocalApic> {
  public:
    static constexpr std::string_view kType = "intc.lapic";
    using Device::Device;
    static void describe(Schema<LocalApic>& s);

    bp_status start();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

  private:
    // model.cpp: registers
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    void write_spurious(u32 value);
    void write_lvt(u32 index, u32 value);
    void write_command(u32 value);
    void initialise();
    bool globally_enabled() const { return (base_ & lapic::kBaseEnable) != 0; }
    bool software_enabled() const { return (spurious_ & lapic::kSpuriousEnable) != 0; }
    i64 apic_base() const { return static_cast<i64>(base_); }
    bp_status set_apic_base(u64 value);
    bool follows_base() const { return processor_ != kEverybody; }
    void place_registers();

    // interrupts.cpp
    bool matches(u32 destination, bool logical) const;
    void accept(const bp_apic_message& message);
    void accept_vector(u32 vector, bool level);
    void lint(u32 pin, bool level);
    void lint0(bool level) { lint(0, level); }
    void lint1(bool level) { lint(1, level); }
    void fire_lvt(u32 index);
    void error(u32 bits);
    void end_of_interrupt();
    u32 processor_priority() const;
    u32 arbitration_priority() const;
    bool lint0_is_extint() const;
    int deliverable() const;
    void update();
    i32 acknowledge();
    u32 arbitrate() const;

    // timer.cpp
    bool periodic() const { return (lvt_[lapic::kLvtTimer] & lapic::kLvtPeriodic) != 0; }
    u64 elapsed() const;
    u32 current_count() const;
    void start_timer(u32 count);
    void set_divide(u32 value);
    void rebase_timer();
    void plan_timer(i64 now);
    void timer_expired(i64 due);

    static const bp_intr kIntr;
    static const bp_apic_local kLocal;

    static constexpr u32 kEverybody = 255;

    Link<bp_apic_bus> bus_;
    Link<bp_intr> pic_;
    Link<bp_cpu_startup> startup_;
    u8 board_id_ = 0;
    bool boot_processor_ = true;
    u32 processor_ = kEverybody;

    u64 base_ = 0;
    u8 id_ = 0;
    u32 task_priority_ = 0;
    u32 logical_destination_ = 0;
    u32 destination_format_ = 0;
    u32 spurious_ = 0;
    lapic::Vectors in_service_, trigger_mode_, request_;
    u32 error_status_ = 0, errors_ = 0;
    u32 command_low_ = 0, command_high_ = 0;
    std::array<u32, lapic::kLvtCount> lvt_{};
    u32 timer_initial_ = 0, timer_divide_ = 0, timer_shift_ = 0;
    i64 timer_start_ = 0;
    bool timer_running_ = false;
    bool extint_message_ = false;  // an ExtINT came as a message and waits for its acknowledge
    std::array<bool, 2> lint_{};   // levels
    LineOut intr_, nmi_, smi_, init_;
    Timer timer_;
    Region registers_;
    TracePoint trace_;
};

}  // namespace backplane::intc
