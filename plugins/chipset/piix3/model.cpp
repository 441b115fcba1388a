#include "model.hpp"

namespace backplane {
namespace {

// Configuration registers of function 0 (2.2).
constexpr u32 kPirqRoute = 0x60;  // PIRQRC[A:D]: bit 7 disables, bits 3:0 name the ISA interrupt
constexpr u32 kStateEnd = 0xaf;
constexpr u8 kRouteDisabled = 0x80;

struct Default {
    u8 reg, value;
};
constexpr Default kDefaults[] = {
    {0x4c, 0x4d},                                                          // IORT: ISA I/O recovery timer
    {0x4e, 0x03},                                                          // XBCS: X-bus chip select, low byte
    {0x4f, 0x00},                                                          // XBCS, high byte
    {0x60, 0x80}, {0x61, 0x80}, {0x62, 0x80}, {0x63, 0x80}, {0x69, 0x02},  // TOM: top of memory
    {0x70, 0x80},  // MBIRQ0: motherboard device interrupt routing
    {0x76, 0x0c},  // MBDMA0: motherboard device DMA
    {0x77, 0x0c},  // MBDMA1
    {0x78, 0x02},  // PCSC: programmable chip select
    {0xa0, 0x08},  // SMICNTL
    {0xa8, 0x0f},  // CTLTMR
};

}  // namespace

void Piix3::describe(Schema<Piix3>& s) {
    s.doc("Intel PIIX3 PCI-to-ISA bridge: routes PIRQA-PIRQD to the ISA interrupts");
    plug_pci<&Piix3::pci_>(s);
    s.lines_in<&Piix3::pirq>("pirq", 4, "PIRQA-PIRQD");
    s.lines_out("irq", &Piix3::irq_, "the ISA interrupts that PIRQs are routed to");
}

bp_status Piix3::start() {
    pci_.identify({.vendor = 0x8086, .device = 0x7000, .base_class = 0x06, .subclass = 0x01, .header_type = 0x80});
    pci_.on_write([this](u32 reg, u32 bytes) {
        if (reg < kPirqRoute + 4 && reg + bytes > kPirqRoute) route();
    });
    return BP_OK;
}

void Piix3::reset(Reset kind) {
    pci_.reset(kind);
    pci_.set16(kPciCommand, kPciCommandIo | kPciCommandMemory | kPciCommandMaster);
    pci_.set16(kPciStatus, 0x0200);  // DEVSEL# medium
    for (u32 reg = 0x79; reg < kStateEnd; ++reg) pci_.set8(reg, 0);
    for (const Default& d : kDefaults) pci_.set8(d.reg, d.value);
    if (kind == Reset::kPowerOn) pirq_.fill(false);
    route();
}

void Piix3::state(StateVisitor& v) {
    pci_.state(v);
    v("pirq", pirq_);
}

bp_status Piix3::restored() {
    pci_.restored();
    return BP_OK;
}

void Piix3::pirq(u32 line, bool level) {
    pirq_[line & 3] = level;
    route();
}

// Level of each ISA interrupt: the OR of the PIRQs that are routed to it.
u32 Piix3::routed() const {
    u32 levels = 0;
    for (u32 i = 0; i < pirq_.size(); ++i) {
        const u8 to = pci_.get8(kPirqRoute + i);
        if (pirq_[i] && !(to & kRouteDisabled) && to < kIrqs) levels |= 1u << to;
    }
    return levels;
}

void Piix3::route() {
    const u32 levels = routed();
    for (u32 i = 0; i < kIrqs; ++i) irq_[i].set(levels >> i & 1);
}

}  // namespace backplane
