#include "model.hpp"

namespace backplane::chipset {
namespace {

constexpr u8 kGate2 = 0x01;
constexpr u8 kSpeakerData = 0x02;
constexpr u8 kWritable = kGate2 | kSpeakerData;
constexpr u8 kRefresh = 0x10;
constexpr u8 kOut2 = 0x20;

}  // namespace

void Port61::describe(Schema<Port61>& s) {
    s.doc(
        "Port 61h: tone counter gate (bit 0), speaker data (bit 1), refresh toggle (bit 4, changes on every read), "
        "OUT2 (bit 5).");
    s.ports<&Port61::read, &Port61::write>("port", 1, 1, "control and status");
    s.line_in<&Port61::out2>("out2", "output of the tone counter");
    s.line_out("gate2", &Port61::gate2_, "gate of the tone counter");
    s.line_out("speaker", &Port61::speaker_, "what the loudspeaker gets: OUT2 and the speaker data bit");
}

u64 Port61::read(u64, u32) {
    // Firmware and old delay loops wait for changes of the refresh bit; one per read keeps them short.
    refresh_ = !refresh_;
    return static_cast<u8>(control_ | (refresh_ ? kRefresh : 0) | (out2_ ? kOut2 : 0));
}

void Port61::write(u64, u32, u64 value) {
    control_ = static_cast<u8>(value) & kWritable;
    gate2_.set((control_ & kGate2) != 0);
    speaker_.set(sounding());
}

void Port61::out2(bool level) {
    out2_ = level;
    speaker_.set(sounding());
}

bool Port61::sounding() const { return out2_ && (control_ & kSpeakerData); }

void Port61::reset(Reset) {
    control_ = 0;
    refresh_ = false;
    gate2_.lower();
    speaker_.lower();
}

void Port61::state(StateVisitor& v) {
    v("control", control_, {.max = kWritable});
    v("refresh", refresh_);
    v("out2", out2_);
}

}  // namespace backplane::chipset
