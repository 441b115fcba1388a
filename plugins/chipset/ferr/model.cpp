#include "model.hpp"

namespace backplane {

void Ferr::describe(Schema<Ferr>& s) {
    s.doc("Coprocessor error: FERR# to an interrupt, cleared by a write to the port");
    s.ports<nullptr, &Ferr::write>("port", 1, 1, "any write clears the interrupt");
    s.line_in<&Ferr::ferr>("ferr", "the processor's FERR# output (high: error)");
    s.line_out("irq", &Ferr::irq_, "interrupt request");
    s.line_out("ignne", &Ferr::ignne_, "to the processor: ignore the pending error (high: ignore)");
}

void Ferr::reset(Reset) {
    pending_ = ignore_ = false;
    irq_.lower();
    ignne_.lower();
}

void Ferr::state(StateVisitor& v) {
    v("level", level_);
    v("pending", pending_);
    v("ignore", ignore_);
}

void Ferr::ferr(bool level) {
    level_ = level;
    if (level) {
        pending_ = true;
        irq_.raise();
    } else if (ignore_) {
        ignore_ = false;
        ignne_.lower();
    }
}

void Ferr::write(u64, u32, u64) {
    pending_ = false;
    irq_.lower();
    if (!level_) return;
    ignore_ = true;
    ignne_.raise();
}

}  // namespace backplane
