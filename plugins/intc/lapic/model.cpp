#include "model.hpp"

#include <algorithm>

namespace backplane::intc {

using namespace lapic;

namespace {

constexpr u64 kDefaultBase = 0xfee0'0000;
constexpr u32 kVersionValue = 0x0005'0011;
constexpr u32 kFlatModel = 0xf000'0000;  // pc-0.12 shows the unused bits as 0, hardware as 1
constexpr u32 kSpuriousWritable = 0x1ff;
constexpr u32 kLint0AtReset = BP_APIC_EXTINT << kModeShift;
// Writable bits of each local vector; the timer has no delivery mode, only the pins have polarity and trigger mode.
constexpr std::array<u32, kLvtCount> kLvtWritable{0x300ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff};

}  // namespace

const bp_intr LocalApic::kIntr{sizeof(bp_intr),
                               [](void* i) { return static_cast<LocalApic*>(i)->acknowledge(); },
                               [](void* i) { return static_cast<LocalApic*>(i)->apic_base(); },
                               [](void* i, u64 value) { return static_cast<LocalApic*>(i)->set_apic_base(value); },
                               [](void* i) { return static_cast<LocalApic*>(i)->task_priority_ >> 4; },
                               [](void* i, u32 value) {
                                   static_cast<LocalApic*>(i)->task_priority_ = (value & 15) << 4;
                                   static_cast<LocalApic*>(i)->update();
                               }};

void LocalApic::describe(Schema<LocalApic>& s) {
    s.doc(
        "Local APIC of one processor. The processor links to it (bp.intr/1) and takes its lines intr, nmi, smi and "
        "init; the PIC's "
        "INTR goes to lint0. With `processor` only that one sees the registers, where its IA32_APIC_BASE puts them; "
        "without, all of the board does, at the address the board gives, whatever IA32_APIC_BASE says.");
    s.link("bus", &LocalApic::bus_, BP_APIC_BUS_ID, "interrupt messages");
    s.link("pic", &LocalApic::pic_, BP_INTR_ID, "controller that answers ExtINT acknowledge cycles", true);
    s.link("startup", &LocalApic::startup_, BP_CPU_STARTUP_ID, "processor that STARTUP messages start", true);
    s.property("id", &LocalApic::board_id_, {"APIC id at reset", "0", false, {}, 0, 254});
    s.property("boot_processor", &LocalApic::boot_processor_,
               {"IA32_APIC_BASE.BSP; the PIC reaches this processor from reset on", "true"});
    s.property("processor", &LocalApic::processor_,
               {"number of its processor on the board; 255: the board has one", "255", false, {}, 0, kEverybody});
    s.memory<&LocalApic::read, &LocalApic::write>("registers", 0x1000, 4, "register page", &LocalApic::registers_);
    s.line_in<&LocalApic::lint0>("lint0", "local interrupt pin 0: INTR of the PIC");
    s.line_in<&LocalApic::lint1>("lint1", "local interrupt pin 1: NMI");
    s.line_out("intr", &LocalApic::intr_, "an interrupt waits for the processor");
    s.line_out("nmi", &LocalApic::nmi_, "pulse: non-maskable interrupt");
    s.line_out("smi", &LocalApic::smi_, "pulse: system management interrupt");
    s.line_out("init", &LocalApic::init_, "pulse: INIT");
    s.timer<&LocalApic::timer_expired>("timer", &LocalApic::timer_);
    s.offer(BP_INTR_ID, &kIntr);
    s.trace("interrupt", &LocalApic::trace_, "accepted and acknowledged interrupts");
}

bp_status LocalApic::start() {
    // A processor is reset before its APIC, and asks then whether it is the first one.
    base_ = kDefaultBase | kBaseEnable | (boot_processor_ ? kBaseBootProcessor : 0);
    bus_.call(&bp_apic_bus::join_local, &kLocal, static_cast<void*>(this));
    return BP_OK;
}

void LocalApic::reset(Reset) {
    base_ = kDefaultBase | kBaseEnable | (boot_processor_ ? kBaseBootProcessor : 0);
    id_ = board_id_;
    initialise();
    place_registers();
}

// Each processor has its own at the same address, and may move it or switch it off. One whose processor is driven from
// outside the machine is nobody's: then everybody sees the first one.
void LocalApic::place_registers() {
    if (!follows_base()) return;
    if (!globally_enabled()) {
        registers_.unmap_for_vcpu();
        registers_.unmap();
        return;
    }
    const u64 base = base_ & kBaseAddress;
    const bp_status status = registers_.map_for(processor_, base);
    if (status == BP_ERR_NOT_FOUND && processor_ == 0)
        registers_.map(base, BP_PRIORITY_FIXED);
    else if (status != BP_OK && status != BP_ERR_NOT_FOUND)
        registers_.unmap_for_vcpu();  // beyond the end of memory
}

// What an INIT resets: everything but the id and IA32_APIC_BASE.
void LocalApic::initialise() {
    task_priority_ = logical_destination_ = 0;
    destination_format_ = kFlatModel;
    spurious_ = 0xff;
    in_service_ = trigger_mode_ = request_ = {};
    error_status_ = errors_ = command_low_ = command_high_ = 0;
    lvt_.fill(kLvtMasked);
    // No firmware of the time sets up the boot processor's pin before it uses the PIC.
    if (boot_processor_) lvt_[kLvtLint0] = kLint0AtReset;
    timer_initial_ = timer_divide_ = timer_shift_ = 0;
    timer_running_ = false;
    timer_.cancel();
    extint_message_ = false;
    update();
}

bp_status LocalApic::set_apic_base(u64 value) {
    const bool was = globally_enabled();
    if (!follows_base() && (value & kBaseAddress) != kDefaultBase)
        log_guest("IA32_APIC_BASE moves the registers to %llx; they stay",
                  static_cast<unsigned long long>(value & kBaseAddress));
    base_ = (value & (kBaseAddress | kBaseEnable)) | (base_ & kBaseBootProcessor);
    // Switching the APIC off loses its state, as a reset does.
    if (was && !globally_enabled()) initialise();
    place_registers();
    update();
    return BP_OK;
}

u64 LocalApic::read(u64 offset, u32) {
    if (!globally_enabled()) return 0xffff'ffff;
    const u32 reg = static_cast<u32>(offset >> 4);
    if (offset & 15) return 0;
    if (reg >= kInService && reg < kTriggerMode) return in_service_.words[reg - kInService];
    if (reg >= kTriggerMode && reg < kRequest) return trigger_mode_.words[reg - kTriggerMode];
    if (reg >= kRequest && reg < kErrorStatus) return request_.words[reg - kRequest];
    if (reg >= kLvtFirst && reg <= kLvtLast) return lvt_[reg - kLvtFirst];
    switch (reg) {
        case kId: return static_cast<u32>(id_) << 24;
        case kVersion: return kVersionValue;
        case kTaskPriority: return task_priority_;
        case kArbitrationPriority: return arbitration_priority();
        case kProcessorPriority: return processor_priority();
        case kEndOfInterrupt: return 0;
        case kLogicalDestination: return logical_destination_;
        case kDestinationFormat: return destination_format_;
        case kSpurious: return spurious_;
        case kErrorStatus: return error_status_;
        case kCommandLow: return command_low_;
        case kCommandHigh: return command_high_;
        case kTimerInitial: return timer_initial_;
        case kTimerCurrent: return current_count();
        case kTimerDivide: return timer_divide_;
        default: error(kErrorRegister); return 0;
    }
}

void LocalApic::write(u64 offset, u32, u64 wide) {
    if (!globally_enabled()) return;
    const u32 value = static_cast<u32>(wide);
    const u32 reg = static_cast<u32>(offset >> 4);
    if (reg == kMsiAlias) {
        bus_.call(&bp_apic_bus::msi, kDefaultBase + offset, value);
        return;
    }
    if (offset & 15) return;
    if (reg >= kLvtFirst && reg <= kLvtLast) {
        write_lvt(reg - kLvtFirst, value);
        return;
    }
    switch (reg) {
        case kId: id_ = static_cast<u8>(value >> 24); break;
        case kTaskPriority: task_priority_ = value & 0xff; break;
        case kEndOfInterrupt: end_of_interrupt(); break;
        case kLogicalDestination: logical_destination_ = value & 0xff00'0000; break;
        case kDestinationFormat: destination_format_ = value & 0xf000'0000; break;
        case kSpurious: write_spurious(value); break;
        case kErrorStatus:
            // A write makes the errors since the last one readable.
            error_status_ = errors_;
            errors_ = 0;
            break;
        case kCommandLow: write_command(value); break;
        case kCommandHigh: command_high_ = value & 0xff00'0000; break;
        case kTimerInitial: start_timer(value); break;
        case kTimerDivide: set_divide(value); break;
        case kVersion:
        case kArbitrationPriority:
        case kProcessorPriority:
        case kTimerCurrent: break;  // read only
        default:
            if (reg < kInService || reg >= kErrorStatus) error(kErrorRegister);
            break;
    }
    update();
}

void LocalApic::write_spurious(u32 value) {
    const bool was = software_enabled();
    spurious_ = value & kSpuriousWritable;
    // Software disable masks the local vectors and keeps them masked (SDM, "Local APIC State After It Has Been Software
    // Disabled").
    if (was && !software_enabled()) {
        for (u32& lvt : lvt_) lvt |= kLvtMasked;
        plan_timer(now());
    }
}

void LocalApic::write_lvt(u32 index, u32 value) {
    const u32 before = lvt_[index];
    if (index == kLvtTimer && ((before ^ value) & kLvtPeriodic)) rebase_timer();
    lvt_[index] = (value & kLvtWritable[index]) | (before & value & kLvtLevel ? before & kLvtRemoteIrr : 0);
    // While the APIC is software disabled masks cannot be taken off; a pin that is open from reset on may be rewritten
    // open.
    if (!software_enabled() && (before & kLvtMasked)) lvt_[index] |= kLvtMasked;
    if (index == kLvtTimer) plan_timer(now());
    // A level-triggered pin that is high asks as soon as it is unmasked.
    if (index == kLvtLint0 && lint_[0] && (lvt_[index] & kLvtLevel)) fire_lvt(index);
    if (index == kLvtLint1 && lint_[1] && (lvt_[index] & kLvtLevel)) fire_lvt(index);
    update();
}

void LocalApic::write_command(u32 value) {
    command_low_ = value & kCommandWritable;
    bp_apic_message m{};
    m.size = sizeof m;
    m.vector = value & kVectorBits;
    m.mode = value >> kModeShift & 7;
    m.logical = (value & kCommandLogical) != 0;
    m.destination = command_high_ >> 24;
    m.shorthand = value >> kCommandShorthandShift & 3;
    m.level_triggered = (value & kCommandLevel) != 0;
    m.assert_level = (value & kCommandAssert) != 0;
    // The de-assertion of INIT only synchronises arbitration ids, which nothing uses.
    if (m.mode == BP_APIC_INIT && m.level_triggered && !m.assert_level) return;
    // Processor messages are edges whatever the trigger bit says (SDM, "Interrupt Command Register").
    m.level_triggered = 0, m.assert_level = 1;
    if ((m.mode == BP_APIC_FIXED || m.mode == BP_APIC_LOWEST_PRIORITY) && m.vector < kFirstVector) {
        error(kErrorSendVector);
        return;
    }
    bus_.call(&bp_apic_bus::deliver, &m, static_cast<const void*>(this));
}

void LocalApic::state(StateVisitor& v) {
    v("base", base_);
    v("id", id_);
    v("task_priority", task_priority_);
    v("logical_destination", logical_destination_);
    v("destination_format", destination_format_);
    v("spurious", spurious_);
    v("in_service", in_service_.words);
    v("trigger_mode", trigger_mode_.words);
    v("request", request_.words);
    v("error_status", error_status_);
    v("errors", errors_);
    v("command_low", command_low_);
    v("command_high", command_high_);
    v("lvt", lvt_);
    v("timer_initial", timer_initial_);
    v("timer_divide", timer_divide_, {.max = 0x0b});
    v("timer_shift", timer_shift_, {.max = 7});
    v("timer_start", timer_start_);
    v("timer_running", timer_running_);
    v("extint_message", extint_message_);
    v("lint", lint_);
}

bp_status LocalApic::restored() {
    // A damaged snapshot must not lead the timer's arithmetic out of range.
    timer_start_ = std::clamp(timer_start_, now() - (i64{1} << 40), now());
    place_registers();
    return BP_OK;
}

}  // namespace backplane::intc
