/// @file
/// A PCI bus with one slot, for unit tests of PCI functions.
///
/// @code{.cpp}
/// Bench<Nic> nic;  PciSlot slot(nic);
/// slot.write(0x10, 4, 0xc001);  slot.write(4, 2, 1);
/// CHECK(nic.mapped("registers") == 0xc000);
/// CHECK(slot.pin(1));
/// @endcode
#pragma once

#include <array>

#include "backplane/abi/pci.h"
#include "backplane/testkit/bench.hpp"

namespace backplane::testkit {

/// A slot that holds the board's device, and the host's side of it.
class PciSlot {
  public:
    /// Plugs the device in; throws if it offers no PCI function. devfn: device << 3 | function.
    explicit PciSlot(Board& board, u32 devfn = 3 << 3) : devfn_(devfn) {
        board.plug_into({&kTable, this});
        function_ = board.offer(BP_PCI_FUNCTION_ID);
        if (!function_.table) throw std::runtime_error("the device offers no PCI function");
    }
    PciSlot(const PciSlot&) = delete;
    PciSlot& operator=(const PciSlot&) = delete;

    /// Configuration read of 1, 2 or 4 bytes.
    u32 read(u32 reg, u32 bytes) const { return table().config_read(function_.instance, reg, bytes); }
    /// Configuration write of 1, 2 or 4 bytes.
    void write(u32 reg, u32 bytes, u32 value) { table().config_write(function_.instance, reg, bytes, value); }
    /// Level of INTA (1) to INTD (4).
    bool pin(u32 number) const { return pins_.at(number); }
    /// How often the function has driven a pin.
    unsigned drives() const { return drives_; }

  private:
    const bp_pci_function& table() const { return *static_cast<const bp_pci_function*>(function_.table); }
    static void set_pin(void* self, u32 pin, int level) {
        auto& slot = *static_cast<PciSlot*>(self);
        ++slot.drives_;
        if (pin < slot.pins_.size()) slot.pins_[pin] = level != 0;
    }
    static u32 place(void* self) { return static_cast<PciSlot*>(self)->devfn_; }
    static constexpr bp_pci_bus kTable{sizeof(bp_pci_bus), &PciSlot::set_pin, &PciSlot::place};

    u32 devfn_;
    bp_interface function_{nullptr, nullptr};
    std::array<bool, 5> pins_{};
    unsigned drives_ = 0;
};

}  // namespace backplane::testkit
