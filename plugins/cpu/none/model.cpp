#include "model.hpp"

namespace backplane {

const bp_cpu_startup NoCpu::kStartup{sizeof(bp_cpu_startup), [](void*, uint32_t) {}};

void NoCpu::describe(Schema<NoCpu>& s) {
    s.doc("No processor; other programs drive the board's devices");
    s.property("model", &NoCpu::model_, {.doc = "has no effect", .def = ""});
    s.property("features", &NoCpu::features_, {.doc = "has no effect", .def = ""});
    s.property("tsc-frequency", &NoCpu::tsc_frequency_, {.doc = "has no effect", .def = "0"});
    s.property("apic_id", &NoCpu::apic_id_, {.doc = "has no effect", .def = "0"});
    s.property("processors", &NoCpu::processors_, {.doc = "has no effect", .def = "1"});
    s.line_in<&NoCpu::ignored>("intr", "maskable interrupt request");
    s.line_in<&NoCpu::ignored>("nmi", "non-maskable interrupt");
    s.line_in<&NoCpu::ignored>("init", "INIT#");
    s.line_in<&NoCpu::ignored>("smi", "system management interrupt");
    s.line_in<&NoCpu::ignored>("a20", "address line 20; accesses from outside pass it");
    s.line_in<&NoCpu::ignored>("ignne", "IGNNE#");
    s.line_out("ferr", &NoCpu::ferr_, "FERR#; never driven");
    s.link("intr", &NoCpu::intr_, BP_INTR_ID, "interrupt controller that nobody asks", true);
    s.offer(BP_CPU_STARTUP_ID, &kStartup);
}

}  // namespace backplane
