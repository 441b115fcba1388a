// Intel 82371SB (PIIX3) PCI-to-ISA bridge, function 0 (data sheet 290550-002, April 1997).
//
// Of the bridge itself only the PIRQ router does something that a guest can see; the ISA devices that the real chip
// also holds (interrupt controllers, DMA, timer ...) are cards of their own on the board, as are its IDE, USB and PM
// functions.
#pragma once

#include <array>

#include "backplane/device.hpp"
#include "backplane/pci.hpp"

namespace backplane {

struct Piix3 : Device<Piix3> {
    static constexpr std::string_view kType = "chipset.piix3";
    using Device::Device;

    static void describe(Schema<Piix3>& s);
    bp_status start();
    void reset(Reset kind);
    void state(StateVisitor& v);
    bp_status restored();

    void pirq(u32 line, bool level);

  private:
    static constexpr u32 kIrqs = 16;
    u32 routed() const;
    void route();

    PciFunction pci_;
    std::array<bool, 4> pirq_{};
    std::array<LineOut, kIrqs> irq_;
};

}  // namespace backplane
