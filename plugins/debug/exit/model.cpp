#include "model.hpp"

namespace backplane {

void DebugExit::describe(Schema<DebugExit>& s) {
    s.doc("Debug exit port: writing v ends the emulator with exit code 2v + 1");
    s.property("size", &DebugExit::size_, {.doc = "number of ports", .def = "2", .min = 1, .max = 8});
    s.ports<&DebugExit::read, &DebugExit::write>("port", 2, 1 | 2 | 4, "exit code", &DebugExit::port_);
}

bp_status DebugExit::start() { return size_ == 2 ? BP_OK : port_.resize(size_); }

u64 DebugExit::read(u64, u32) { return 0; }

// Never 0: a guest that gets here by accident is no success.
void DebugExit::write(u64, u32, u64 value) {
    request(BP_REQUEST_EXIT, static_cast<u32>(value) << 1 | 1, "the guest wrote to the debug exit port");
}

}  // namespace backplane
