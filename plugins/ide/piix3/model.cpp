#include "model.hpp"

#include "ata/facts.hpp"

namespace backplane::piix3 {
namespace {

constexpr PciIdentity kIdentity{.vendor = 0x8086,
                                .device = 0x7010,
                                .base_class = 0x01,
                                .subclass = 0x01,
                                .prog_if = 0x80,  // bus master, both channels fixed to legacy addresses
                                .revision = 0x00,
                                .interrupt_pin = 0};
constexpr u16 kStatusAtReset = 0x0280;  // fast back-to-back, DEVSEL# medium
constexpr u32 kBusMasterBar = 4;

constexpr u32 kCommandPorts = 8;
constexpr u32 kControlPorts = 1;

}  // namespace

Ide::Ide(const Slot& slot) : Device(slot) {
    for (unsigned i = 0; i < kChannels; ++i) {
        channels_[i].init(this, i, true);
        masters_[i].init(&this->slot(), &channels_[i]);
    }
}

void Ide::describe(Schema<Ide>& s) {
    s.doc("PIIX3 IDE controller: two ATA channels with bus-master DMA");
    s.property("firmware_path", &Ide::firmware_path_,
               {.doc = "the controller's name in the firmware's device tree, for a boot order by drive", .def = ""});
    s.ports<&Ide::read_command<0>, &Ide::write_command<0>>("primary", kCommandPorts, 1 | 2 | 4,
                                                           "command block of the primary channel");
    s.ports<&Ide::read_control<0>, &Ide::write_control<0>>("primary_control", kControlPorts, 1,
                                                           "alternate status and device control, primary");
    s.ports<&Ide::read_command<1>, &Ide::write_command<1>>("secondary", kCommandPorts, 1 | 2 | 4,
                                                           "command block of the secondary channel");
    s.ports<&Ide::read_control<1>, &Ide::write_control<1>>("secondary_control", kControlPorts, 1,
                                                           "alternate status and device control, secondary");
    s.ports<&Ide::read_bus_master, &Ide::write_bus_master>("bus_master", kBusMasterPorts, 1 | 2 | 4,
                                                           "bus-master registers, placed by base address register 4",
                                                           &Ide::bus_master_);
    plug_pci<&Ide::pci_>(s);
    s.bus<&Ide::attach<0>>("0", BP_ATA_DEVICE_ID, BP_ATA_BUS_ID, "primary channel: 0 master, 1 slave");
    s.bus<&Ide::attach<1>>("1", BP_ATA_DEVICE_ID, BP_ATA_BUS_ID, "secondary channel: 0 master, 1 slave");
    s.lines_out("irq", &Ide::irq_, "interrupt of the channel");
    s.publishes("disk.geometry", "what IDENTIFY reports, for each hard disk by position 0-3", true);
    s.publishes("disk.boot", "index: place in the boot order; path: name in the firmware's device tree", false);
    s.trace("command", &Ide::trace_command_, "writes to the command blocks");
}

bp_status Ide::start() {
    pci_.identify(kIdentity);
    pci_.io_bar(kBusMasterBar, kBusMasterPorts, bus_master_);
    return BP_OK;
}

bp_status Ide::publish() {
    for (unsigned i = 0; i < kChannels; ++i) {
        const bp_status status = ata::publish_drives(
            channels_[i], i, firmware_path_,
            [this](std::string_view what, std::string_view key, std::initializer_list<FactField> fields) {
                return publish_fact(what, key, fields);
            });
        if (status != BP_OK) return status;
    }
    return BP_OK;
}

bp_status Ide::attach_to(unsigned channel, std::string_view address, std::string_view child, bp_interface drive,
                         bp_interface* host) {
    const std::string_view wrong = channels_[channel].attach(address, drive, host);
    if (wrong.empty()) return BP_OK;
    return fail(BP_ERR_CONFLICT, "%.*s at channel %u, address %.*s: %.*s", static_cast<int>(child.size()), child.data(),
                channel, static_cast<int>(address.size()), address.data(), static_cast<int>(wrong.size()),
                wrong.data());
}

u64 Ide::read_bus_master(u64 offset, u32 bytes) {
    const u32 at = static_cast<u32>(offset);
    return masters_[at / BusMaster::kPorts].read(at % BusMaster::kPorts, bytes);
}

void Ide::write_bus_master(u64 offset, u32 bytes, u64 value) {
    const u32 at = static_cast<u32>(offset);
    masters_[at / BusMaster::kPorts].write(at % BusMaster::kPorts, bytes, static_cast<u32>(value));
}

void Ide::trace_write(unsigned channel, u64 offset, u32 bytes, u64 value) {
    if (offset != BP_ATA_DATA)
        trace_command_("channel %u register %u <- %0*llx", channel, static_cast<unsigned>(offset),
                       static_cast<int>(2 * bytes), static_cast<unsigned long long>(value));
}

void Ide::reset(Reset kind) {
    pci_.reset(kind);
    pci_.set16(kPciStatus, kStatusAtReset);
    for (unsigned i = 0; i < kChannels; ++i) {
        masters_[i].reset();
        channels_[i].reset();
    }
}

void Ide::state(StateVisitor& v) {
    pci_.state(v);
    v.each("channel", channels_, [](StateVisitor& s, ata::Channel& c) { c.state(s); });
    v.each("master", masters_, [](StateVisitor& s, BusMaster& m) { m.state(s); });
}

bp_status Ide::restored() {
    pci_.restored();
    return BP_OK;
}

}  // namespace backplane::piix3
