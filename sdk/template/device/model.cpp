#include "model.hpp"

using namespace backplane;

namespace example {

namespace {
constexpr u64 kControl = 0;
constexpr u64 kCount = 1;
constexpr u64 kOn = 1u << 0;
constexpr u64 kLit = 1u << 1;
}  // namespace

void PluginName::describe(Schema<PluginName>& s) {
    s.doc("A lamp that blinks");
    s.property("period", &PluginName::period_, {.doc = "time of one phase", .def = "500ms", .min = 1'000});
    s.ports<&PluginName::read, &PluginName::write>("port", 2, 1, "control and counter");
    s.line_out("irq", &PluginName::irq_, "high while the lamp is lit");
    s.timer<&PluginName::on_phase>("phase", &PluginName::phase_);
    s.trace("switched", &PluginName::switched_, "the guest switches the lamp");
}

void PluginName::reset(Reset) {
    count_ = 0;
    switch_off();
}

void PluginName::state(StateVisitor& v) {
    v("on", on_);
    v("lit", lit_);
    v("count", count_);
}

u64 PluginName::read(u64 offset, u32) {
    if (offset == kCount) return count_;
    return (on_ ? kOn : 0) | (lit_ ? kLit : 0);
}

void PluginName::write(u64 offset, u32, u64 value) {
    if (offset == kCount) {
        count_ = 0;
        return;
    }
    if (value & ~kOn)
        log_guest("reserved bits of the control port written: %02llx", static_cast<unsigned long long>(value));
    const bool on = value & kOn;
    if (on == on_) return;
    switched_("%s", on ? "on" : "off");
    if (!on) return switch_off();
    on_ = true;
    phase_.arm_in(period_.ns);
}

void PluginName::on_phase(i64 due) {
    lit_ = !lit_;
    if (lit_) ++count_;
    irq_.set(lit_);
    phase_.arm(due + period_.ns);  // from the time it was due, so that it does not drift
}

void PluginName::switch_off() {
    on_ = lit_ = false;
    irq_.lower();
    phase_.cancel();
}

}  // namespace example
