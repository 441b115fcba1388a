#include "model.hpp"

namespace backplane::chipset {

void Processors::describe(Schema<Processors>& s) {
    s.doc("The number of processors on the board.");
    s.property("boot", &Processors::boot_,
               {.doc = "processors that are present at power-on", .def = "1", .min = 1, .max = 255});
    s.property("max", &Processors::max_,
               {.doc = "most processors that can be plugged in; 0: as many as at power-on", .def = "0", .max = 255});
    s.publishes("cpu.count", "boot, max: processors at power-on, and that there can be at most", true);
}

bp_status Processors::start() {
    if (max_ != 0 && max_ < boot_) return fail(BP_ERR_INVALID, "max (%u) is smaller than boot (%u)", max_, boot_);
    return BP_OK;
}

bp_status Processors::publish() {
    return publish_fact("cpu.count", "", {{"boot", boot_}, {"max", max_ ? max_ : boot_}});
}

}  // namespace backplane::chipset
