#include "model.hpp"

namespace backplane {
namespace {

constexpr u64 kWindow = 0x20000;
constexpr u32 kSmallestPlanes = 256 << 10;

}  // namespace

template <class Self>
void VgaAdapter<Self>::describe_common(Schema<Self>& s, std::string_view memory_default) {
    s.property(
        "memory", &Self::size_,
        {.doc = "video memory, a power of two", .def = memory_default, .min = kSmallestPlanes, .max = 256 << 20});
    s.property("linear", &Self::fixed_,
               {.doc = "address at which all video memory always appears; 0: nowhere", .def = "0"});
    s.template ports<&Self::read_mono, &Self::write_mono>("crtc_mono", 2, 1,
                                                          "CRT controller of monochrome modes: index, data");
    s.template ports<&Self::read_mono_status, &Self::write_mono_status>(
        "status_mono", 1, 1, "input status 1 and feature control of monochrome modes");
    s.template ports<&Self::read_main, &Self::write_main>(
        "registers", 16, 1, "attribute controller, sequencer, DAC, graphics controller, miscellaneous output");
    s.template ports<&Self::read_color, &Self::write_color>("crtc", 2, 1, "CRT controller: index, data");
    s.template ports<&Self::read_color_status, &Self::write_color_status>("status", 1, 1,
                                                                          "input status 1 and feature control");
    // The data register is the word at the odd port.
    s.template ports<&Self::read_vbe, &Self::write_vbe>("vbe", 3, 2, "VBE extension: index, data (words)");
    s.template memory<&Self::read_window, &Self::write_window>("window", kWindow, 1 | 2 | 4 | 8,
                                                               "legacy window on the planes, text and graphics");
    s.offer(BP_DISPLAY_ID, &kDisplay);
}

template <class Self>
bp_status VgaAdapter<Self>::make_memory() {
    if ((size_.value & (size_.value - 1)) != 0) return this->fail(BP_ERR_INVALID, "memory must be a power of two");
    if (fixed_ % 4096) return this->fail(BP_ERR_INVALID, "linear must be a multiple of 4 KiB");
    const bp_ram_api& ram = this->slot().ram();
    void* const self = this->slot().self();
    if (const bp_status s = ram.create(self, to_bp("memory"), size_.value, &block_)) return s;
    core_.set_memory(static_cast<u8*>(ram.data(self, block_)), static_cast<u32>(size_.value));
    if (fixed_ == 0) return BP_OK;
    u32 mapping = 0;
    return ram.map(self, block_, 0, fixed_, size_.value, BP_MAP_READ | BP_MAP_WRITE, BP_PRIORITY_PCI, &mapping);
}

template <class Self>
void VgaAdapter<Self>::map_linear(std::optional<u64> base) {
    const bp_ram_api& ram = this->slot().ram();
    void* const self = this->slot().self();
    ram.begin(self);
    if (mapping_) ram.unmap(self, mapping_);
    mapping_ = 0;
    if (base && ram.map(self, block_, 0, *base, size_.value, BP_MAP_READ | BP_MAP_WRITE, BP_PRIORITY_PCI, &mapping_))
        this->log_guest("the frame buffer cannot be at %llx", static_cast<unsigned long long>(*base));
    ram.end(self);
}

template <class Self>
void VgaAdapter<Self>::write_vbe(u64 offset, u32, u64 value) {
    if (offset >= 2) return;
    if (core_.write_vbe(static_cast<u32>(offset), static_cast<u16>(value)))
        this->slot().ram().touched(this->slot().self(), block_, 0, size_.value);
}

void Vga::describe(Schema<Vga>& s) {
    s.doc("Standard VGA with VBE extension, PCI 1234:1111");
    describe_common(s, "16M");
    plug_pci<&Vga::pci_>(s);
}

bp_status Vga::start() {
    if (const bp_status s = make_memory()) return s;
    pci_.identify({.vendor = 0x1234, .device = 0x1111, .base_class = 0x03});
    pci_.memory_bar(
        0, static_cast<u32>(size_.value), [this](std::optional<u64> base) { map_linear(base); }, true);
    return BP_OK;
}

void Vga::reset(Reset kind) {
    core_.reset();
    pci_.reset(kind);
}

void Vga::state(StateVisitor& v) {
    VgaAdapter::state(v);
    pci_.state(v);
}

bp_status Vga::restored() {
    core_.restored();
    pci_.restored();
    return BP_OK;
}

void IsaVga::describe(Schema<IsaVga>& s) {
    s.doc("Standard VGA with VBE extension on an ISA bus");
    describe_common(s, "256K");
}

bp_status IsaVga::restored() {
    core_.restored();
    return BP_OK;
}

template struct VgaAdapter<Vga>;
template struct VgaAdapter<IsaVga>;

}  // namespace backplane
