// After a restore it drives its line anew, which is the kernel's business.
#include "backplane/plugin.hpp"

using namespace backplane;

struct Wrong final : Device<Wrong> {
    static constexpr std::string_view kType = "wrong.restored-drives";
    using Device::Device;

    static void describe(Schema<Wrong>& s) {
        s.doc("A line that follows a bit.");
        s.ports<&Wrong::read, &Wrong::write>("port", 1, 1, "bit 0: the line");
        s.line_out("irq", &Wrong::irq_, "follows bit 0");
    }
    void reset(Reset) { write(0, 1, 0); }
    void state(StateVisitor& v) { v("on", on_); }
    bp_status restored() {
        irq_.pulse();
        irq_.set(on_);
        return BP_OK;
    }
    u64 read(u64, u32) { return on_; }
    void write(u64, u32, u64 value) { on_ = value & 1, irq_.set(on_); }
    bool on_ = false;
    LineOut irq_;
};

BACKPLANE_PLUGIN("wrong.restored-drives", "0.1.0", "Apache-2.0", kDevice, "", Wrong)
