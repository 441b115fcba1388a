/// @file
/// A PCI function's configuration space (PCI Local Bus Specification 2.1, chapter 6): identity, declared registers with
/// write masks, base address registers that move the device's regions, capability list (2.2, section 6.7), interrupt
/// pin. Header type 0 only. Message-signalled interrupts: pci_msi.hpp.
///
/// @code{.cpp}
/// struct Nic : Device<Nic> {
///     static void describe(Schema<Nic>& s) {
///         s.ports<&Nic::read, &Nic::write>("registers", 256, 1 | 2 | 4, "...", &Nic::registers_);
///         plug_pci<&Nic::pci_>(s);
///     }
///     bp_status start() {
///         pci_.identify({.vendor = 0x10ec, .device = 0x8139, .base_class = 2, .revision = 0x20, .interrupt_pin = 1});
///         pci_.io_bar(0, 256, registers_);
///         pci_.field({.name = "power", .reg = 0x44, .bytes = 2, .writable = 0x0003, .doc = "power state"});
///         pci_.on_write(0x44, 2, [this] { ... });  // optional: after a guest's write was stored
///         return BP_OK;
///     }
///     void reset(Reset kind) { pci_.reset(kind); }
///     void state(StateVisitor& v) { pci_.state(v); }
///     bp_status restored() { pci_.restored(); return BP_OK; }
///     PciFunction pci_;
///     Region registers_;
/// };
/// @endcode
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backplane/abi/pci.h"
#include "backplane/schema.hpp"
#include "backplane/slot.hpp"
#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane {

// Offsets in configuration space (2.1, figure 6-1).
inline constexpr u32 kPciVendor = 0x00;           ///< vendor, 16 bits
inline constexpr u32 kPciDevice = 0x02;           ///< device, 16 bits
inline constexpr u32 kPciCommand = 0x04;          ///< command, 16 bits
inline constexpr u32 kPciStatus = 0x06;           ///< status, 16 bits
inline constexpr u32 kPciRevision = 0x08;         ///< revision
inline constexpr u32 kPciProgIf = 0x09;           ///< class code: programming interface
inline constexpr u32 kPciSubclass = 0x0a;         ///< class code: subclass
inline constexpr u32 kPciBaseClass = 0x0b;        ///< class code: base class
inline constexpr u32 kPciCacheLine = 0x0c;        ///< cache line size
inline constexpr u32 kPciHeaderType = 0x0e;       ///< header type
inline constexpr u32 kPciBar0 = 0x10;             ///< first of six base address registers
inline constexpr u32 kPciSubsystemVendor = 0x2c;  ///< subsystem vendor, 16 bits
inline constexpr u32 kPciSubsystem = 0x2e;        ///< subsystem, 16 bits
inline constexpr u32 kPciRom = 0x30;              ///< expansion ROM base address
inline constexpr u32 kPciCapabilities = 0x34;     ///< first capability
inline constexpr u32 kPciInterruptLine = 0x3c;    ///< interrupt line: the guest's own note
inline constexpr u32 kPciInterruptPin = 0x3d;     ///< interrupt pin

inline constexpr u16 kPciCommandIo = 1u << 0;           ///< command: I/O BARs are decoded
inline constexpr u16 kPciCommandMemory = 1u << 1;       ///< command: memory BARs are decoded
inline constexpr u16 kPciCommandMaster = 1u << 2;       ///< command: may do DMA
inline constexpr u16 kPciStatusInterrupt = 1u << 3;     ///< status: the pin is asserted
inline constexpr u16 kPciStatusCapabilities = 1u << 4;  ///< status: there is a list of capabilities

/// The read-only registers of a function.
struct PciIdentity {
    u16 vendor = 0xffff;            ///< vendor id
    u16 device = 0xffff;            ///< device id
    u8 base_class = 0;              ///< class code, bits 23-16
    u8 subclass = 0;                ///< class code, bits 15-8
    u8 prog_if = 0;                 ///< class code, bits 7-0
    u8 revision = 0;                ///< revision id
    u8 header_type = 0;             ///< 80h: more functions in this slot
    u8 interrupt_pin = 0;           ///< 1-4: INTA-INTD
    u16 subsystem_vendor = 0x1af4;  ///< subsystem vendor id
    u16 subsystem = 0x1100;         ///< subsystem id
};

/// A register of the configuration space. Bits that are neither writable nor cleared by writing 1 are read-only.
struct PciField {
    std::string_view name;      ///< for lists
    u32 reg = 0;                ///< offset, a multiple of `bytes`
    u32 bytes = 1;              ///< 1, 2 or 4
    u32 reset = 0;              ///< value after every reset
    u32 writable = 0;           ///< bits that a guest sets and clears
    u32 write_one_clears = 0;   ///< bits that a guest clears by writing 1
    std::string_view doc = {};  ///< for lists
};

/// The configuration space of one function; a member of the device.
class PciFunction {
  public:
    /// Called with the new base when a BAR gets decoded or moves (without a call for the old base in between), and with
    /// nothing when it is no longer decoded.
    using Place = std::function<void(std::optional<u64> base)>;
    /// Called after a guest's write was stored, with the register and width of the access.
    using Written = std::function<void(u32 reg, u32 bytes)>;
    static constexpr u32 kRomBar = 6;  ///< index of the expansion ROM's BAR

    // --- Set-up, in start(): an impossible declaration throws, and start() fails with its reason ------------------
    /// First of all calls: sets identity and write masks, forgets registers, capabilities and BARs.
    void identify(const PciIdentity& id) {
        interrupt_pin_ = id.interrupt_pin;
        mask_.fill(0), clears_.fill(0), reset_.fill(0);
        masked_.reset(), reserved_.reset(), fields_.clear(), hooks_.clear();
        last_capability_ = 0, inhibited_ = nullptr;
        mask_[kPciCommand] = kPciCommandIo | kPciCommandMemory | kPciCommandMaster;
        mask_[kPciCacheLine] = mask_[kPciInterruptLine] = 0xff;
        bars_ = {};
        load_identity(id);
        config_ = reset_;
    }
    /// Declares a register. A function that declares registers or capabilities has no others: what nobody declared in
    /// 40h-FFh reads as 0. In one that declares none, all of it is plain storage.
    void field(const PciField& f) {
        const auto refuse = [&](const char* why) {
            throw std::invalid_argument("configuration register " + std::string(f.name) + ": " + why);
        };
        if ((f.bytes != 1 && f.bytes != 2 && f.bytes != 4) || f.reg % f.bytes || f.reg > 255) refuse("no such place");
        for (const PciField& other : fields_)
            if (f.reg < other.reg + other.bytes && other.reg < f.reg + f.bytes) refuse("declared twice");
        fields_.push_back(f);
        writable(f.reg, f.bytes, f.writable);
        for (u32 i = 0; i < f.bytes; ++i) {
            reserved_.set(f.reg + i);
            clears_[f.reg + i] = static_cast<u8>(f.write_one_clears >> (8 * i));
            config_[f.reg + i] = reset_[f.reg + i] = static_cast<u8>(f.reset >> (8 * i));
        }
    }
    /// All declared registers, in the order of declaration.
    const std::vector<PciField>& fields() const { return fields_; }
    /// Adds a capability of `size` bytes, header of two bytes included, at the end of the list; returns its offset. The
    /// registers behind the header are declared with field(). `at` 0: the first free place from 40h on.
    u32 add_capability(u8 id, u32 size, u32 at = 0) {
        const auto is_free = [&](u32 from) {
            for (u32 reg = from; reg < from + size; ++reg)
                if (reg > 0xff || reserved_.test(reg)) return false;
            return true;
        };
        if (at == 0)
            for (at = 0x40; at < 0x100 && !is_free(at);) at += 4;
        if (size < 2 || size > 0xc0 || at < 0x40 || at % 4 || !is_free(at))
            throw std::invalid_argument("PCI capability " + std::to_string(id) + ": no room");
        field({.name = "capability", .reg = at, .bytes = 1, .reset = id, .doc = "capability id"});
        field({.name = "next", .reg = at + 1, .bytes = 1, .doc = "offset of the next capability"});
        for (u32 i = 0; i < size; ++i) reserved_.set(at + i);
        const u32 pointer = last_capability_ ? last_capability_ + 1 : kPciCapabilities;
        config_[pointer] = reset_[pointer] = static_cast<u8>(at);
        last_capability_ = at;
        return at;
    }
    /// `size` is a power of two and the region's declared length; I/O at least 4, memory at least 16.
    void io_bar(u32 index, u32 size, Region& region) { add_bar(index, size, kTypeIo, placer(region)); }
    /// The same in memory, below 4 GiB.
    void memory_bar(u32 index, u32 size, Region& region, bool prefetchable = false) {
        add_bar(index, size, prefetchable ? kTypePrefetch : 0, placer(region));
    }
    /// For memory that is no region (video RAM mapped through bp.ram): the device does the mapping.
    void memory_bar(u32 index, u32 size, Place place, bool prefetchable = false) {
        add_bar(index, size, prefetchable ? kTypePrefetch : 0, std::move(place));
    }
    /// Expansion ROM: `size` is rounded up to a power of two, at least 2 KiB.
    void rom_bar(u32 size, Place place) {
        u32 rounded = 0x800;
        while (rounded < size && rounded < 0x80000000u) rounded <<= 1;
        add_bar(kRomBar, rounded, 0, std::move(place));
    }
    /// Sets what is called after each write of the guest.
    void on_write(Written written) { written_ = std::move(written); }
    /// For one register: called when at least one of its bytes was written.
    void on_write(u32 reg, u32 bytes, std::function<void()> written) {
        hooks_.push_back({reg, bytes, std::move(written)});
    }
    /// While `inhibited` says yes, the interrupt pin stays low (the function signals in another way).
    void inhibit_intx_while(std::function<bool()> inhibited) { inhibited_ = std::move(inhibited); }
    /// Replaces the write mask of a byte, word or dword.
    void writable(u32 reg, u32 bytes, u32 mask) {
        for (u32 i = 0; i < bytes && reg + i < 256; ++i)
            mask_[reg + i] = static_cast<u8>(mask >> (8 * i)), masked_.set(reg + i);
    }

    // --- Life cycle -----------------------------------------------------------------------------------------------
    /// RST#: declared registers at their reset values, decoding off, BARs, cache line and interrupt line cleared, pin
    /// lowered. Power-on also restores the identity and zeroes the rest of 40h-FFh. The device sets its own further
    /// values afterwards.
    void reset(Reset kind) {
        if (kind == Reset::kPowerOn) {
            config_ = reset_;
            // Nothing is decoded, wherever somebody may have placed a BAR's region meanwhile.
            for (Bar& bar : bars_)
                if (bar.size) bar.base.reset(), bar.place(std::nullopt);
        }
        for (const PciField& f : fields_)
            for (u32 i = 0; i < f.bytes; ++i) config_[f.reg + i] = reset_[f.reg + i];
        if (last_capability_) config_[kPciStatus] |= kPciStatusCapabilities;
        set16(kPciCommand, get16(kPciCommand) & ~(kPciCommandIo | kPciCommandMemory | kPciCommandMaster));
        set8(kPciCacheLine, 0);
        set8(kPciInterruptLine, 0);
        for (const Bar& bar : bars_)
            if (bar.size) set32(bar.reg, bar.type);
        set_intx(false);
        update();
    }
    /// To be called in the device's state().
    void state(StateVisitor& v) { v("pci", config_); }
    /// The bus keeps the pins' levels itself; only the placement is derived.
    void restored() {
        pin_ = pin_level();
        update();
    }

    // --- For the device -------------------------------------------------------------------------------------------
    /// Byte of a register, as the guest reads it.
    u8 get8(u32 reg) const { return config_[reg & 0xff]; }
    /// Word of a register.
    u16 get16(u32 reg) const { return static_cast<u16>(get8(reg) | get8(reg + 1) << 8); }
    /// Doubleword of a register.
    u32 get32(u32 reg) const { return get16(reg) | static_cast<u32>(get16(reg + 2)) << 16; }
    /// These ignore the write masks. Call update() after changing the command register or a BAR.
    void set8(u32 reg, u32 value) { config_[reg & 0xff] = static_cast<u8>(value); }
    /// Sets a word.
    void set16(u32 reg, u32 value) { set8(reg, value), set8(reg + 1, value >> 8); }
    /// Sets a doubleword.
    void set32(u32 reg, u32 value) { set16(reg, value), set16(reg + 2, value >> 16); }
    /// Whether the guest allows DMA.
    bool bus_master() const { return get16(kPciCommand) & kPciCommandMaster; }

    /// Level of the interrupt pin; status bit 3 follows. A function without a pin has the status bit only.
    void set_intx(bool level) {
        const u16 status = get16(kPciStatus);
        set16(kPciStatus, level ? status | kPciStatusInterrupt : status & ~kPciStatusInterrupt);
        drive_pin();
    }
    /// Level of the interrupt pin.
    bool intx() const { return get16(kPciStatus) & kPciStatusInterrupt; }
    /// Place on the bus: device << 3 | function; 0 while it sits on none.
    u32 devfn() const { return bus_ ? bus_->devfn(bus_.instance()) : 0; }
    /// Where a BAR is decoded now.
    std::optional<u64> base(u32 index) const { return bars_.at(index).base; }

    // --- Configuration cycles -------------------------------------------------------------------------------------
    /// A guest's read of 1, 2 or 4 bytes.
    u32 read(u32 reg, u32 bytes) const {
        u32 value = 0;
        for (u32 i = 0; i < bytes && i < 4; ++i) value |= static_cast<u32>(get8(reg + i)) << (8 * i);
        return value;
    }
    /// A guest's write of 1, 2 or 4 bytes, under the write masks.
    void write(u32 reg, u32 bytes, u32 value) {
        for (u32 i = 0; i < bytes && i < 4; ++i) {
            const u32 at = (reg + i) & 0xff;
            const u8 data = static_cast<u8>(value >> (8 * i));
            const u8 mask = is_storage(at) ? 0xff : mask_[at];
            config_[at] = static_cast<u8>(((config_[at] & ~mask) | (data & mask)) & ~(data & clears_[at]));
        }
        if (reg < kPciInterruptLine) update();
        drive_pin();
        for (const Hook& hook : hooks_)
            if (reg < hook.reg + hook.bytes && hook.reg < reg + bytes) hook.written();
        if (written_) written_(reg, bytes);
    }
    /// Moves every BAR to where command and base registers say.
    void update() {
        for (Bar& bar : bars_) {
            if (!bar.size) continue;
            const std::optional<u64> base = decoded(bar);
            if (base == bar.base) continue;
            bar.base = base;
            bar.place(base);
        }
    }

    /// The bus that the function sits on; bound by plug_pci().
    Link<bp_pci_bus>& bus() { return bus_; }

  private:
    static constexpr u32 kTypeIo = 1;
    static constexpr u32 kTypePrefetch = 8;
    static constexpr u32 kRomEnable = 1;
    struct Bar {
        u32 size = 0;
        u32 type = 0;
        u32 reg = 0;
        Place place;
        std::optional<u64> base;
    };

    struct Hook {
        u32 reg, bytes;
        std::function<void()> written;
    };

    bool is_storage(u32 reg) const { return fields_.empty() && reg >= 0x40 && !masked_.test(reg); }
    bool pin_level() const { return intx() && !(inhibited_ && inhibited_()); }
    void drive_pin() {
        const bool level = pin_level();
        if (level == pin_) return;
        pin_ = level;
        if (bus_ && interrupt_pin_) bus_->intx(bus_.instance(), interrupt_pin_, level);
    }
    static Place placer(Region& region) {
        return [&region](std::optional<u64> base) {
            if (base)
                region.map(*base, BP_PRIORITY_PCI);
            else
                region.unmap();
        };
    }
    void add_bar(u32 index, u32 size, u32 type, Place place) {
        Bar& bar = bars_.at(index);
        bar = {size, type, index == kRomBar ? kPciRom : kPciBar0 + 4 * index, std::move(place), std::nullopt};
        writable(bar.reg, 4, ~(size - 1) | (index == kRomBar ? kRomEnable : 0));
        set32(bar.reg, type);
    }
    void load_identity(const PciIdentity& id) {
        const auto set = [this](u32 reg, u32 value) { reset_[reg] = static_cast<u8>(value); };
        const auto set_word = [&](u32 reg, u32 value) { set(reg, value), set(reg + 1, value >> 8); };
        set_word(kPciVendor, id.vendor), set_word(kPciDevice, id.device);
        set(kPciRevision, id.revision), set(kPciProgIf, id.prog_if);
        set(kPciSubclass, id.subclass), set(kPciBaseClass, id.base_class);
        set(kPciHeaderType, id.header_type), set(kPciInterruptPin, id.interrupt_pin);
        set_word(kPciSubsystemVendor, id.subsystem_vendor), set_word(kPciSubsystem, id.subsystem);
    }
    /// A base of 0 and the all-ones value of a size probe are not decoded, and nothing wraps.
    std::optional<u64> decoded(const Bar& bar) const {
        const u16 command = get16(kPciCommand);
        const u32 value = get32(bar.reg);
        const u64 base = value & ~(bar.size - 1);
        const u64 last = base + bar.size - 1;
        if (base == 0) return std::nullopt;
        if (bar.type == kTypeIo) {
            if (!(command & kPciCommandIo) || last > 0xffff) return std::nullopt;
            return base;
        }
        if (!(command & kPciCommandMemory) || last >= 0xffffffffu) return std::nullopt;
        if (bar.reg == kPciRom && !(value & kRomEnable)) return std::nullopt;
        return base;
    }

    std::array<u8, 256> config_{};  // all of the state
    std::array<u8, 256> reset_{};   // identity and declared registers
    std::array<u8, 256> mask_{}, clears_{};
    std::bitset<256> masked_, reserved_;  // by writable(); by fields and capabilities
    std::vector<PciField> fields_;
    u32 last_capability_ = 0;
    u8 interrupt_pin_ = 0;
    bool pin_ = false;  // as driven
    std::function<bool()> inhibited_;
    std::array<Bar, 7> bars_;
    Written written_;
    std::vector<Hook> hooks_;
    Link<bp_pci_bus> bus_;
};

/// The ABI table of the PciFunction that is member `Function` of T.
template <class T, auto Function>
inline constexpr bp_pci_function kPciFunctionTable{
    sizeof(bp_pci_function),
    [](void* i, uint32_t reg, uint32_t bytes) -> uint32_t { return (static_cast<T*>(i)->*Function).read(reg, bytes); },
    [](void* i, uint32_t reg, uint32_t bytes, uint32_t value) {
        (static_cast<T*>(i)->*Function).write(reg, bytes, value);
    }};

/// In describe(): this device sits on a PCI bus (`on: pci/1.1`).
template <auto Function, class T>
void plug_pci(Schema<T>& schema) {
    schema.plug(BP_PCI_FUNCTION_ID, &kPciFunctionTable<T, Function>, BP_PCI_BUS_ID,
                [](T& self) -> Link<bp_pci_bus>& { return (self.*Function).bus(); });
}

}  // namespace backplane
