#include "model.hpp"

#include "ata/facts.hpp"

namespace backplane::isa_ide {

void Ide::describe(Schema<Ide>& s) {
    s.doc("IDE adapter on the ISA bus: one ATA channel, programmed I/O only");
    s.property("channel", &Ide::number_,
               {.doc = "number of this channel on the board: 0 primary, 1 secondary", .def = "0", .max = 1});
    s.ports<&Ide::read_command, &Ide::write_command>("command", 8, 1 | 2 | 4, "command block");
    s.ports<&Ide::read_control, &Ide::write_control>("control", 1, 1, "alternate status and device control");
    s.bus<&Ide::attach>("0", BP_ATA_DEVICE_ID, BP_ATA_BUS_ID, "the channel: 0 master, 1 slave");
    s.line_out("irq", &Ide::irq_, "interrupt of the channel");
    s.publishes("disk.geometry", "what IDENTIFY reports, for each hard disk by position 0-3", true);
    s.publishes("disk.boot", "index: place in the boot order; path: name in the firmware's device tree", false);
}

bp_status Ide::start() {
    channel_.init(this, number_, false);
    return BP_OK;
}

bp_status Ide::publish() {
    return ata::publish_drives(
        channel_, number_, "",
        [this](std::string_view what, std::string_view key, std::initializer_list<FactField> fields) {
            return publish_fact(what, key, fields);
        });
}

bp_status Ide::attach(std::string_view address, std::string_view child, bp_interface drive, bp_interface* host) {
    const std::string_view wrong = channel_.attach(address, drive, host);
    if (wrong.empty()) return BP_OK;
    return fail(BP_ERR_CONFLICT, "%.*s at address %.*s: %.*s", static_cast<int>(child.size()), child.data(),
                static_cast<int>(address.size()), address.data(), static_cast<int>(wrong.size()), wrong.data());
}

}  // namespace backplane::isa_ide
