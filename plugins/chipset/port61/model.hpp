// NMI status and control register of a PC/AT (Intel 82371SB data sheet 290550, "NMISC"): gate of the tone counter,
// speaker data, refresh toggle.
#pragma once

#include "backplane/device.hpp"

namespace backplane::chipset {

class Port61 : public Device<Port61> {
  public:
    static constexpr std::string_view kType = "chipset.port61";
    using Device::Device;
    static void describe(Schema<Port61>& s);

    void reset(Reset kind);
    void state(StateVisitor& v);

  private:
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    void out2(bool level);
    bool sounding() const;

    u8 control_ = 0;
    bool refresh_ = false;
    bool out2_ = false;
    LineOut gate2_;
    LineOut speaker_;
};

}  // namespace backplane::chipset
