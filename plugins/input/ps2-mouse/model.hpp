// PS/2 mouse with wheel and side buttons (IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft
// IntelliMouse and IntelliMouse Explorer extensions).
#pragma once

#include <array>

#include "backplane/abi/backend.h"
#include "backplane/abi/ps2.h"
#include "backplane/device.hpp"

namespace backplane {

struct Ps2Mouse : Device<Ps2Mouse> {
    static constexpr std::string_view kType = "input.ps2_mouse";
    using Device::Device;

    static void describe(Schema<Ps2Mouse>& s);
    void reset(Reset kind);
    void state(StateVisitor& v);

    i32 take();
    void receive(u8 byte);
    void move(i32 dx, i32 dy, i32 wheel, u32 buttons);
    void sample(i64 due);

  private:
    static constexpr u32 kQueue = 256;
    static const bp_ps2_device kDeviceTable;
    static const bp_mouse kMouseTable;

    void command(u8 byte);
    void argument(u8 byte);
    void set_defaults();
    void set_rate(u8 rate);
    void reply(u8 byte);
    void clear_motion();
    bool moved() const { return dx_ || dy_ || wheel_ || reported_ != buttons_; }
    void report(bool scaled);
    void send_if_due();
    void announce();

    Link<bp_ps2_port> port_;
    Timer sample_timer_;
    TracePoint trace_;

    std::array<u8, kQueue> queue_{};
    u32 first_ = 0, count_ = 0;
    u8 last_ = 0;
    u8 awaited_ = 0;
    u8 id_ = 0;
    u8 knock_ = 0;
    u8 rate_ = 0;
    u8 resolution_ = 0;
    bool enabled_ = false, remote_ = false, wrap_ = false, scaling_ = false;
    i32 dx_ = 0, dy_ = 0, wheel_ = 0;
    u32 buttons_ = 0, reported_ = 0;
};

}  // namespace backplane
