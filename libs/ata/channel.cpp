#include "ata/channel.hpp"

namespace backplane::ata {

const bp_ata_bus Channel::kBus{
    sizeof(bp_ata_bus),
    [](void* i, bp_ata_place* place) {
        const Place& self = *static_cast<Place*>(i);
        *place = {place->size, self.channel->number_, self.device, self.channel->dma_ ? 1u : 0u};
    },
    [](void* i, int level) {
        const Place& self = *static_cast<Place*>(i);
        self.channel->intrq(self.device, level != 0);
    },
    [](void* i) {
        Channel& channel = *static_cast<Place*>(i)->channel;
        channel.host_->dma_ready(channel.number_);
    },
    [](void* i) {
        Channel& channel = *static_cast<Place*>(i)->channel;
        channel.host_->dma_end(channel.number_);
    }};

void Channel::init(ChannelHost* host, unsigned number, bool dma) {
    host_ = host;
    number_ = number;
    dma_ = dma;
    for (unsigned i = 0; i < 2; ++i) {
        places_[i].channel = this;
        places_[i].device = i;
    }
}

std::string_view Channel::attach(std::string_view address, bp_interface child, bp_interface* host) {
    if (address != "0" && address != "1") return "a drive's address is 0 (master) or 1 (slave)";
    Place& place = places_[address == "1"];
    if (place.drive) return "there is already a drive at this address";
    place.drive.bind(child);
    *host = {&kBus, &place};
    return {};
}

u64 Channel::read(u64 offset, u32 bytes) {
    if (offset == BP_ATA_DATA && bytes > 1) {
        Place& place = selected();
        return place.drive ? place.drive->data_read(place.drive.instance(), bytes) : 0;
    }
    // The data register is 16 bits wide: a byte cycle does not reach it, and no other register answers a dword cycle.
    if (bytes == 4) return 0xffffffff;
    const auto byte = [this](u64 reg) -> u64 {
        return reg == BP_ATA_DATA ? 0xff : read_register(static_cast<u32>(reg));
    };
    const u64 low = byte(offset);
    return bytes == 2 ? low | byte(offset + 1) << 8 : low;
}

void Channel::write(u64 offset, u32 bytes, u64 value) {
    if (offset == BP_ATA_DATA && bytes > 1) {
        Place& place = selected();
        if (place.drive) place.drive->data_write(place.drive.instance(), bytes, static_cast<u32>(value));
        return;
    }
    if (bytes == 4) return;
    for (u32 i = 0; i < bytes; ++i)
        if (offset + i != BP_ATA_DATA) write_register(static_cast<u32>(offset) + i, static_cast<u8>(value >> (8 * i)));
}

u8 Channel::read_alternate() { return read_register(BP_ATA_ALT_STATUS); }

u8 Channel::read_register(u32 reg) {
    if (empty()) return 0;
    Place& place = selected();
    if (place.drive) return place.drive->read(place.drive.instance(), reg);
    if (reg == BP_ATA_STATUS) intrq(selected_, false);
    // An absent slave does not drive the bus, and its status is how the host notices. The bytes written for both
    // remain.
    const bool status = reg == BP_ATA_STATUS || reg == BP_ATA_ALT_STATUS || reg == BP_ATA_ERROR;
    if (selected_ == 1 && status) return 0;
    return read_absent(place, reg);
}

void Channel::write_register(u32 reg, u8 value) {
    if (reg == BP_ATA_STATUS) return command(value);
    const bool busy = selected().drive && selected().drive->read(selected().drive.instance(), BP_ATA_ALT_STATUS) &
                                              (kStatusBusy | kStatusRequest);
    if (busy) return;
    for (Place& place : places_) {
        if (place.drive)
            place.drive->write(place.drive.instance(), reg, value);
        else
            write_absent(place, reg, value);
    }
    if (reg == BP_ATA_DEVICE) {
        selected_ = value & kDeviceSelect ? 1 : 0;
        update_wire();
    }
}

void Channel::command(u8 value) {
    Place& place = selected();
    if (place.drive) {
        place.drive->write(place.drive.instance(), BP_ATA_STATUS, value);
    } else if (selected_ == 0 && !empty()) {
        // The slave answers for a missing master and refuses everything.
        place.status = kStatusReady | kStatusError;
        place.error = kErrorAbort;
        intrq(0, true);
    }
}

void Channel::write_control(u8 value) {
    const bool asserted = !(control_ & kControlReset) && (value & kControlReset);
    const bool released = (control_ & kControlReset) && !(value & kControlReset);
    control_ = value;
    for (Place& place : places_) {
        if (place.drive) {
            place.drive->control(place.drive.instance(), value);
        } else if (asserted) {
            place.status = kStatusBusy | kStatusSeek;
            place.error = kErrorPassed;
            intrq(place.device, false);
        } else if (released) {
            place.status = kStatusReady | kStatusSeek;
            set_signature(place);
        }
    }
    update_wire();
}

void Channel::intrq(unsigned device, bool level) {
    if (!level) {
        shown_[device] = false;
    } else if (!(control_ & kControlNoInterrupt)) {
        shown_[device] = true;
        host_->interrupt(number_);
    }
    update_wire();
}

void Channel::set_signature(Place& place) {
    place.count = place.low = 1;
    place.mid = place.high = 0xff;  // neither ATA nor ATAPI: drivers take the position for empty
    place.select &= 0xf0;
}

u8 Channel::read_absent(const Place& place, u32 reg) {
    switch (reg) {
        case BP_ATA_ERROR: return place.error;
        case BP_ATA_COUNT: return place.count;
        case BP_ATA_LBA_LOW: return place.low;
        case BP_ATA_LBA_MID: return place.mid;
        case BP_ATA_LBA_HIGH: return place.high;
        case BP_ATA_DEVICE: return place.select;
        case BP_ATA_STATUS:
        case BP_ATA_ALT_STATUS: return place.status;
        default: return 0;
    }
}

void Channel::write_absent(Place& place, u32 reg, u8 value) {
    switch (reg) {
        case BP_ATA_COUNT: place.count = value; break;
        case BP_ATA_LBA_LOW: place.low = value; break;
        case BP_ATA_LBA_MID: place.mid = value; break;
        case BP_ATA_LBA_HIGH: place.high = value; break;
        case BP_ATA_DEVICE:
            place.select =
                static_cast<u8>((value & ~kDeviceSelect) | kDeviceFixed | (place.device ? kDeviceSelect : 0));
            break;
        default: break;
    }
}

void Channel::reset() {
    selected_ = 0;
    control_ = 0;
    shown_ = {};
    for (Place& place : places_) {
        place.select = kDeviceFixed;
        place.error = kErrorPassed;
        place.status = kStatusReady | kStatusSeek;
        set_signature(place);
    }
    update_wire();
}

void Channel::state(StateVisitor& v) {
    v("selected", selected_, {.max = 1});
    v("control", control_);
    v("interrupt", shown_);
    v.each("empty", places_, [](StateVisitor& s, Place& place) {
        s("error", place.error);
        s("count", place.count);
        s("low", place.low);
        s("mid", place.mid);
        s("high", place.high);
        s("select", place.select);
        s("status", place.status);
    });
}

bool Channel::info(unsigned device, bp_ata_info* info) const {
    const Link<bp_ata_device>& drive = places_[device].drive;
    if (!drive) return false;
    *info = {};
    info->size = sizeof *info;
    info->boot_index = -1;
    drive->info(drive.instance(), info);
    return true;
}

u8* Channel::dma_window(u32* bytes, bool* to_memory) {
    for (Place& place : places_) {
        if (!place.drive) continue;
        int direction = 0;
        *bytes = 0;
        void* data = place.drive->dma_window(place.drive.instance(), bytes, &direction);
        if (!data || *bytes == 0) continue;
        *to_memory = direction != 0;
        return static_cast<u8*>(data);
    }
    return nullptr;
}

void Channel::dma_advance(u32 bytes) {
    // The drive whose window was handed out is the first that has one, as in dma_window().
    for (Place& place : places_) {
        if (!place.drive) continue;
        u32 available = 0;
        int direction = 0;
        if (!place.drive->dma_window(place.drive.instance(), &available, &direction) || available == 0) continue;
        place.drive->dma_advance(place.drive.instance(), bytes < available ? bytes : available);
        return;
    }
}

void Channel::dma_cancel() {
    for (Place& place : places_)
        if (place.drive) place.drive->dma_cancel(place.drive.instance());
}

}  // namespace backplane::ata
