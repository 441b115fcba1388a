#include "model.hpp"

namespace backplane::chipset {
namespace {

// Bit 0, the fast reset, is not there in pc-0.12; everything but A20 reads 0.
constexpr u8 kA20 = 0x02;

}  // namespace

void Port92::describe(Schema<Port92>& s) {
    s.doc(
        "Port 92h: A20 gate in bit 1; bit 0 (reset) is ignored. The gate is open at reset. A second gate, that of the "
        "keyboard "
        "controller, may come in on the line gate: then the last one to change decides, and port 92h reads the "
        "result.");
    s.ports<&Port92::read, &Port92::write>("port", 1, 1, "system control port A");
    s.line_in<&Port92::gate>("gate", "another A20 gate: each change of its level sets this one to it");
    s.line_out("a20", &Port92::a20_, "address line 20 passes while high");
}

u64 Port92::read(u64, u32) { return enabled_ ? kA20 : 0; }

void Port92::write(u64, u32, u64 value) { set((value & kA20) != 0); }

void Port92::gate(bool level) { set(level); }

void Port92::set(bool enabled) {
    enabled_ = enabled;
    a20_.set(enabled);
}

void Port92::reset(Reset) { set(true); }

void Port92::state(StateVisitor& v) { v("enabled", enabled_); }

}  // namespace backplane::chipset
