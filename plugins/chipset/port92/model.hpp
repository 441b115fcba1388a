// System control port A of the IBM PS/2 (Technical Reference 68X2267, "System Control Port A"): the fast A20 gate.
#pragma once

#include "backplane/device.hpp"

namespace backplane::chipset {

class Port92 : public Device<Port92> {
  public:
    static constexpr std::string_view kType = "chipset.port92";
    using Device::Device;
    static void describe(Schema<Port92>& s);

    void reset(Reset kind);
    void state(StateVisitor& v);

  private:
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    void gate(bool level);
    void set(bool enabled);

    bool enabled_ = true;
    LineOut a20_;
};

}  // namespace backplane::chipset
