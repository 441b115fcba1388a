#include "model.hpp"

namespace backplane {

void DebugPost::describe(Schema<DebugPost>& s) {
    s.doc("POST code port: a sink that logs each new code");
    s.ports<nullptr, &DebugPost::write>("port", 1, 1, "POST code");
    s.trace("codes", &DebugPost::trace_, "each code as it is written");
}

void DebugPost::reset(Reset) { code_ = 0, seen_ = false; }

void DebugPost::state(StateVisitor& v) {
    v("code", code_);
    v("seen", seen_);
}

// Repetitions are delays, not progress.
void DebugPost::write(u64, u32, u64 value) {
    const u8 code = static_cast<u8>(value);
    trace_("%02x", code);
    if (seen_ && code == code_) return;
    code_ = code, seen_ = true;
    log_debug("POST code %02x", code);
}

}  // namespace backplane
