/// @file
/// Message-signalled interrupts of a PCI function (PCI Local Bus Specification 2.2, section 6.8.1; the optional mask
/// and pending registers: 3.0, section 6.8.1). All state stands in the configuration space.
///
/// @code{.cpp}
/// static void describe(Schema<Nic>& s) {
///     plug_pci<&Nic::pci_>(s);
///     link_msi<&Nic::msi_>(s);  // on the board: msi: apics
/// }
/// bp_status start() {
///     pci_.identify({...});
///     msi_.add(pci_, {.vectors = 4});
///     return BP_OK;
/// }
/// void received() {
///     if (!pci_.intx()) msi_.send(1);  // sends while messages are on
///     pci_.set_intx(true);             // shows on the pin while they are off
/// }
/// @endcode
///
/// On a board that leaves the link open the function has no such capability and interrupts by its pin.
#pragma once

#include <bit>

#include "backplane/abi/msi.h"
#include "backplane/pci.hpp"

namespace backplane {

inline constexpr u8 kPciCapabilityMsi = 0x05;  ///< id of the capability

/// What the capability offers.
struct MsiOptions {
    u32 vectors = 1;        ///< messages asked for: 1, 2, 4, 8, 16 or 32
    bool address64 = true;  ///< 64-bit message address
    bool maskable = false;  ///< a mask and a pending bit for each vector
    u32 at = 0;             ///< offset of the capability; 0: the first free one
};

/// The capability, and the way from it to the interrupt controllers; a member of the device.
class PciMsi {
  public:
    /// In start(), after identify(). Nothing happens while the link is open.
    void add(PciFunction& pci, const MsiOptions& options = {}) {
        pci_ = nullptr;
        if (!link_) return;
        if (!std::has_single_bit(options.vectors) || options.vectors > 32)
            throw std::invalid_argument("MSI: the number of vectors is 1, 2, 4, 8, 16 or 32");
        const u32 data = options.address64 ? 12 : 8;
        const u32 size = options.maskable ? data + 12 : data + 2;
        const u32 at = pci.add_capability(kPciCapabilityMsi, size, options.at);
        const u32 log2 = static_cast<u32>(std::countr_zero(options.vectors));
        pci.field({.name = "msi.control",
                   .reg = at + 2,
                   .bytes = 2,
                   .reset = log2 << 1 | (options.address64 ? kAddress64 : 0) | (options.maskable ? kMaskable : 0),
                   .writable = kEnable | kGranted,
                   .doc = "enable; messages asked for and granted; 64-bit address; masks"});
        pci.field({.name = "msi.address", .reg = at + 4, .bytes = 4, .writable = ~3u, .doc = "message address"});
        if (options.address64)
            pci.field({.name = "msi.address_high", .reg = at + 8, .bytes = 4, .writable = ~0u, .doc = "bits 63-32"});
        pci.field({.name = "msi.data", .reg = at + data, .bytes = 2, .writable = 0xffff, .doc = "message data"});
        if (options.maskable) {
            const u32 all = options.vectors == 32 ? ~0u : (1u << options.vectors) - 1;
            pci.field(
                {.name = "msi.mask", .reg = at + data + 4, .bytes = 4, .writable = all, .doc = "bit n: vector n"});
            pci.field({.name = "msi.pending", .reg = at + data + 8, .bytes = 4, .doc = "held back by the mask"});
        }
        pci_ = &pci, at_ = at, data_ = at + data, options_ = options;
        pci.on_write(at, size, [this] { release(); });
        // 6.8.1.3: a function that may send messages does not use its pin.
        pci.inhibit_intx_while([this] { return enabled(); });
    }

    /// Whether the guest has switched messages on.
    bool enabled() const { return pci_ && (pci_->get16(at_ + 2) & kEnable); }
    /// Messages that the guest has granted, 1 to 32; no more than were asked for.
    u32 vectors() const {
        if (!pci_) return 1;
        const u32 granted = 1u << ((pci_->get16(at_ + 2) & kGranted) >> 4);
        return granted < options_.vectors ? granted : options_.vectors;
    }
    /// Sends message `vector`, or holds it back if it is masked. Vectors beyond those granted share them. Returns
    /// false, and does nothing, while messages are off. A function that is no bus master loses the message.
    bool send(u32 vector = 0) {
        if (!enabled()) return false;
        vector &= vectors() - 1;
        if (options_.maskable && (pci_->get32(data_ + 4) >> vector & 1))
            pci_->set32(data_ + 8, pci_->get32(data_ + 8) | 1u << vector);
        else
            emit(vector);
        return true;
    }
    /// The reason of a message that is still held back has gone.
    void withdraw(u32 vector = 0) {
        if (pci_ && options_.maskable)
            pci_->set32(data_ + 8, pci_->get32(data_ + 8) & ~(1u << (vector & (vectors() - 1))));
    }

    /// For link_msi().
    Link<bp_msi>& link() { return link_; }

  private:
    static constexpr u32 kEnable = 1u << 0;
    static constexpr u32 kGranted = 7u << 4;
    static constexpr u32 kAddress64 = 1u << 7;
    static constexpr u32 kMaskable = 1u << 8;

    void emit(u32 vector) {
        if (!pci_->bus_master()) return;
        u64 address = pci_->get32(at_ + 4) & ~3u;
        if (options_.address64) address |= static_cast<u64>(pci_->get32(at_ + 8)) << 32;
        link_->send(link_.instance(), address, (pci_->get16(data_) & ~(vectors() - 1)) | vector);
    }
    // After a write to the capability: sends what has been held back and no longer is.
    void release() {
        if (!options_.maskable || !enabled()) return;
        const u32 ready = pci_->get32(data_ + 8) & ~pci_->get32(data_ + 4);
        pci_->set32(data_ + 8, pci_->get32(data_ + 8) & ~ready);
        for (u32 vector = 0; vector < options_.vectors; ++vector)
            if (ready >> vector & 1) emit(vector & (vectors() - 1));
    }

    PciFunction* pci_ = nullptr;
    u32 at_ = 0, data_ = 0;  // offsets of the capability and its data register
    MsiOptions options_;
    Link<bp_msi> link_;
};

/// In describe(): link `msi` of the device, which the board joins to the bus of its local APICs.
template <auto Msi, class T>
void link_msi(Schema<T>& schema, std::string_view name = "msi") {
    schema.link(
        name, [](T& self) -> Link<bp_msi>& { return (self.*Msi).link(); }, BP_MSI_ID,
        "where message-signalled interrupts go; open: the function has none", true);
}

}  // namespace backplane
