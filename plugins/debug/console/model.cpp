#include "model.hpp"

namespace backplane {
namespace {
constexpr std::size_t kLongestLine = 500;
}

void DebugConsole::describe(Schema<DebugConsole>& s) {
    s.doc("Debug console port: text from firmware to a character device, the log, or nowhere");
    s.property("readback", &DebugConsole::readback_,
               {.doc = "what the port reads as while somebody listens", .def = "0xe9"});
    s.property("size", &DebugConsole::size_, {.doc = "number of ports", .def = "1", .min = 1, .max = 4});
    s.property("log", &DebugConsole::log_, {.doc = "write each line to the log", .def = "false"});
    s.ports<&DebugConsole::read, &DebugConsole::write>("port", 1, 1, "text output", &DebugConsole::port_);
    s.link("backend", &DebugConsole::backend_, BP_CHARDEV_ID, "where the text goes", true);
}

bp_status DebugConsole::start() { return size_ == 1 ? BP_OK : port_.resize(size_); }

u64 DebugConsole::read(u64, u32) { return backend_ || log_ ? readback_ : 0xff; }

void DebugConsole::write(u64, u32, u64 value) {
    const u8 c = static_cast<u8>(value);
    if (backend_) backend_->write(backend_.instance(), &c, 1);
    if (!log_ || c == '\r') return;
    if (c != '\n') line_.push_back(c >= ' ' && c < 0x7f ? static_cast<char>(c) : '?');
    if (c == '\n' || line_.size() >= kLongestLine) log_line();
}

void DebugConsole::log_line() {
    if (!line_.empty()) log_debug("%s", line_.c_str());
    line_.clear();
}

}  // namespace backplane
