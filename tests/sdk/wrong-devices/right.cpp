// A lamp that keeps all the rules, with one of most things that a device can have.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Right final : Device<Right> {
    static constexpr std::string_view kType = "right.lamp";
    static constexpr u32 kStateVersion = 2;
    using Device::Device;
    static void describe(Schema<Right>& s) {
        s.doc("A lamp that blinks.");
        s.property("period", &Right::period_, {.doc = "time of one phase", .def = "500ms", .min = 1'000'000});
        s.ports<&Right::read, &Right::write>("port", 1, 1, "bit 0: on, bit 1 (read): lit");
        s.line_in<&Right::inhibit>("inhibit", "dark while high");
        s.line_out("irq", &Right::irq_, "high while the lamp is lit");
        s.timer<&Right::on_phase>("phase", &Right::phase_);
        s.trace("switched", &Right::switched_, "the guest switches the lamp");
    }
    void reset(Reset) { on_ = lit_ = false, irq_.lower(), phase_.cancel(); }
    void state(StateVisitor& v) {
        v("on", on_), v("lit", lit_), v("inhibited", inhibited_, {.since = 2}), v.dropped("brightness");
    }
    u64 read(u64, u32) { return (on_ ? 1u : 0u) | (lit_ ? 2u : 0u); }
    void write(u64, u32, u64 value) {
        on_ = value & 1;
        switched_("%s", on_ ? "on" : "off");
        if (on_)
            phase_.arm_in(period_.ns);
        else
            reset(Reset::kSystem);
    }
    void inhibit(bool level) { inhibited_ = level, irq_.set(lit_ && !inhibited_); }
    void on_phase(i64 due) {
        lit_ = !lit_;
        irq_.set(lit_ && !inhibited_);
        phase_.arm(due + period_.ns);
    }
    bool on_ = false, lit_ = false, inhibited_ = false;
    Duration period_;
    LineOut irq_;
    Timer phase_;
    TracePoint switched_;
};

BACKPLANE_PLUGIN("right.lamp", "0.1.0", "Apache-2.0", kDevice, "", Right)
