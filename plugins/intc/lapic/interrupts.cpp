// Acceptance, priorities and acknowledge.
#include "model.hpp"

namespace backplane::intc {

using namespace lapic;

namespace {

constexpr u32 kRefuses = ~0u;

u32 priority_class(u32 vector) { return vector & 0xf0; }

}  // namespace

const bp_apic_local LocalApic::kLocal{
    sizeof(bp_apic_local),
    [](void* i, u32 destination, u32 logical) -> int {
        return static_cast<LocalApic*>(i)->matches(destination, logical != 0);
    },
    [](void* i) { return static_cast<LocalApic*>(i)->arbitrate(); },
    [](void* i, const bp_apic_message* m) { static_cast<LocalApic*>(i)->accept(*m); }};

bool LocalApic::matches(u32 destination, bool logical) const {
    if (!globally_enabled()) return false;
    if (destination == 0xff) return true;
    if (!logical) return destination == id_;
    const u32 own = logical_destination_ >> 24;
    if (destination_format_ >> 28 == 0xf) return (own & destination) != 0;
    // Cluster model: upper half names the cluster, lower half the members.
    if (destination_format_ >> 28 == 0) return own >> 4 == destination >> 4 && (own & destination & 0xf) != 0;
    return false;
}

u32 LocalApic::arbitrate() const { return globally_enabled() && software_enabled() ? processor_priority() : kRefuses; }

void LocalApic::accept(const bp_apic_message& m) {
    if (!globally_enabled()) return;
    trace_("message mode %u vector %02x%s", m.mode, m.vector, m.level_triggered ? " level" : "");
    switch (m.mode) {
        case BP_APIC_FIXED:
        case BP_APIC_LOWEST_PRIORITY: accept_vector(m.vector, m.level_triggered != 0); break;
        case BP_APIC_SMI: smi_.pulse(); break;
        case BP_APIC_NMI: nmi_.pulse(); break;
        case BP_APIC_INIT:
            if (!m.assert_level) break;
            initialise();
            init_.pulse();
            break;
        case BP_APIC_STARTUP:
            if (startup_) startup_.call(&bp_cpu_startup::startup, m.vector);
            break;
        case BP_APIC_EXTINT: extint_message_ = true; break;
        default: break;
    }
    update();
}

void LocalApic::accept_vector(u32 vector, bool level) {
    if (vector < kFirstVector) {
        error(kErrorReceiveVector);
        return;
    }
    if (!software_enabled()) return;
    request_.set(vector);
    if (level)
        trigger_mode_.set(vector);
    else
        trigger_mode_.clear(vector);
}

void LocalApic::lint(u32 pin, bool level) {
    const bool rose = level && !lint_[pin];
    lint_[pin] = level;
    if (globally_enabled()) {
        if (rose) fire_lvt(kLvtLint0 + pin);
    } else if (pin == 1 && rose) {
        nmi_.pulse();  // without the APIC the pin is NMI itself
    }
    update();
}

// A local source asks. ExtINT is no event but a level; deliverable state follows the pin.
void LocalApic::fire_lvt(u32 index) {
    u32& lvt = lvt_[index];
    if (lvt & kLvtMasked) return;
    switch (lvt >> kModeShift & 7) {
        case BP_APIC_FIXED: {
            const bool level = (index == kLvtLint0 || index == kLvtLint1) && (lvt & kLvtLevel);
            if (level && (lvt & kLvtRemoteIrr)) return;
            if (level) lvt |= kLvtRemoteIrr;
            accept_vector(lvt & kVectorBits, level);
            break;
        }
        case BP_APIC_SMI: smi_.pulse(); break;
        case BP_APIC_NMI: nmi_.pulse(); break;
        case BP_APIC_INIT:
            initialise();
            init_.pulse();
            break;
        default: break;
    }
}

void LocalApic::error(u32 bits) {
    const bool fresh = (bits & ~errors_) != 0;
    errors_ |= bits;
    if (!fresh || (lvt_[kLvtError] & kLvtMasked)) return;
    // An error vector that is itself illegal is dropped; reporting it would go on for ever.
    if ((lvt_[kLvtError] & kVectorBits) >= kFirstVector) accept_vector(lvt_[kLvtError] & kVectorBits, false);
    update();
}

void LocalApic::end_of_interrupt() {
    const int highest = in_service_.highest();
    if (highest < 0) return;
    const u32 vector = static_cast<u32>(highest);
    in_service_.clear(vector);
    trace_("end of interrupt %02x", vector);
    if (!trigger_mode_.test(vector)) return;
    update();
    for (u32 pin = 0; pin < 2; ++pin) {
        u32& lvt = lvt_[kLvtLint0 + pin];
        if (!(lvt & kLvtRemoteIrr) || (lvt & kVectorBits) != vector) continue;
        lvt &= ~kLvtRemoteIrr;
        if (lint_[pin]) fire_lvt(kLvtLint0 + pin);
    }
    bus_.call(&bp_apic_bus::end_of_interrupt, vector);
}

u32 LocalApic::processor_priority() const {
    const int serving = in_service_.highest();
    const u32 in_service = serving < 0 ? 0 : static_cast<u32>(serving);
    return priority_class(task_priority_) >= priority_class(in_service) ? task_priority_ : priority_class(in_service);
}

u32 LocalApic::arbitration_priority() const {
    const int requested = request_.highest(), serving = in_service_.highest();
    const u32 r = requested < 0 ? 0 : priority_class(static_cast<u32>(requested));
    const u32 s = serving < 0 ? 0 : priority_class(static_cast<u32>(serving));
    const u32 t = priority_class(task_priority_);
    if (t >= r && t > s) return task_priority_;
    return t > r && t > s ? t : r > s ? r : s;
}

bool LocalApic::lint0_is_extint() const {
    if (!lint_[0]) return false;
    if (!globally_enabled()) return true;  // the pin is INTR itself
    const u32 lvt = lvt_[kLvtLint0];
    return !(lvt & kLvtMasked) && (lvt >> kModeShift & 7) == BP_APIC_EXTINT;
}

int LocalApic::deliverable() const {
    if (!globally_enabled() || !software_enabled()) return -1;
    const int vector = request_.highest();
    return vector >= 0 && priority_class(static_cast<u32>(vector)) > priority_class(processor_priority()) ? vector : -1;
}

void LocalApic::update() { intr_.set(deliverable() >= 0 || lint0_is_extint() || extint_message_); }

i32 LocalApic::acknowledge() {
    const int vector = deliverable();
    if (vector >= 0) {
        request_.clear(static_cast<u32>(vector));
        in_service_.set(static_cast<u32>(vector));
        trace_("acknowledge %02x", static_cast<u32>(vector));
        update();
        return vector;
    }
    if (lint0_is_extint() || extint_message_) {
        extint_message_ = false;
        const i32 from_pic = pic_ ? pic_.call(&bp_intr::acknowledge) : -1;
        trace_("ExtINT acknowledge %d", from_pic);
        update();
        return from_pic;
    }
    update();
    // The request was there and the priority rose meanwhile (SDM, "Spurious Interrupt").
    if (globally_enabled() && software_enabled() && request_.highest() >= 0)
        return static_cast<i32>(spurious_ & kVectorBits);
    return -1;
}

}  // namespace backplane::intc
