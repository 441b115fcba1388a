// A plugin that is compiled with the kept copy of the headers, as one that somebody built some time ago: a lamp as in
// the template of a device, and besides it one of everything that a device may use.
#include "backplane/plugin.hpp"

#include <array>

#include "backplane/abi/backend.h"

namespace {

using namespace backplane;

struct Fixture final : Device<Fixture> {
    static constexpr std::string_view kType = "fixture.kept";
    static constexpr u32 kStateVersion = 2;
    using Device::Device;
    enum class Mode { kPlain, kFancy };

    static void describe(Schema<Fixture>& s) {
        s.doc("A plugin built with the headers that were kept");
        s.property("period", &Fixture::period_, {.doc = "time of one phase", .def = "10ms", .min = 1'000});
        s.property("mode", &Fixture::mode_, {.doc = "which way", .def = "plain", .choices = "plain|fancy"});
        s.property("bytes", &Fixture::bytes_, {.doc = "of a buffer", .def = "4K"});
        s.property("label", &Fixture::label_, {.doc = "any text", .def = "kept"});
        s.ports<&Fixture::read, &Fixture::write>("port", 2, 1, "control and counter");
        s.memory<&Fixture::read_memory, nullptr>("window", 4096, 1 | 2 | 4, "reads as its offset", &Fixture::window_);
        s.line_out("irq", &Fixture::irq_, "high while the lamp is lit");
        s.line_in<&Fixture::on_line>("listen", "an input");
        s.timer<&Fixture::on_phase>("phase", &Fixture::phase_);
        s.link("backend", &Fixture::backend_, BP_CHARDEV_ID, "gets a line of text at power-on", true);
        s.consumes("ram.layout", "how much memory there is");
        s.trace("switched", &Fixture::switched_, "the guest switches the lamp");
    }
    bp_status start() { return window_.map(0xfed80000, BP_PRIORITY_FIXED); }
    bp_status consume(const Fact& fact) {
        fact_seen_ = fact.what() == "ram.layout";
        return BP_OK;
    }
    void reset(Reset kind) {
        on_ = lit_ = false, count_ = 0;
        irq_.lower(), phase_.cancel();
        if (kind == Reset::kPowerOn && backend_) {
            const std::string text =
                label_ + (mode_ == Mode::kFancy ? " fancy" : " plain") + (fact_seen_ ? " fact\n" : "\n");
            backend_->write(backend_.instance(), reinterpret_cast<const u8*>(text.data()),
                            static_cast<u32>(text.size()));
        }
    }
    void state(StateVisitor& v) {
        v("on", on_), v("lit", lit_), v("count", count_, {.since = 2, .writable = true});
        v.each("part", parts_, [](StateVisitor& w, u16& part) { w("value", part, {.max = 1000}); });
    }
    bp_status restored() { return BP_OK; }

    u64 read(u64 offset, u32) { return offset ? count_ : (on_ ? 1u : 0u) | (lit_ ? 2u : 0u); }
    void write(u64 offset, u32, u64 value) {
        if (offset) return;
        on_ = value & 1;
        switched_("%s at %lld", on_ ? "on" : "off", static_cast<long long>(now()));
        if (value & ~u64{1}) log_guest("reserved bits %02llx", static_cast<unsigned long long>(value));
        if (on_)
            phase_.arm_in(period_.ns);
        else
            lit_ = false, irq_.lower(), phase_.cancel();
    }
    u64 read_memory(u64 offset, u32) { return offset; }
    void on_line(bool) {}
    void on_phase(i64 due) {
        lit_ = !lit_, count_ = static_cast<u8>(count_ + lit_);
        irq_.set(lit_);
        phase_.arm(due + period_.ns);
    }

    bool on_ = false, lit_ = false, fact_seen_ = false;
    u8 count_ = 0;
    std::array<u16, 3> parts_{};
    Duration period_;
    Mode mode_ = Mode::kPlain;
    Bytes bytes_;
    std::string label_;
    LineOut irq_;
    Timer phase_;
    Region window_;
    Link<bp_chardev> backend_;
    TracePoint switched_;
};

}  // namespace

BACKPLANE_PLUGIN("fixture.kept", "0.1.0", "Apache-2.0", kDevice, "", Fixture)
