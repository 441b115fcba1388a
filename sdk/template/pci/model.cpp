#include "model.hpp"

#include <algorithm>
#include <array>

using namespace backplane;

namespace example {

namespace {
constexpr u32 kBarBytes = 4096;
constexpr u32 kMostBytes = 4096;

constexpr u64 kId = 0x00;
constexpr u64 kStatus = 0x04;
constexpr u64 kAddress = 0x08;
constexpr u64 kLength = 0x0c;
constexpr u64 kDoorbell = 0x10;

constexpr u32 kIdValue = 0x31474c50;
constexpr u32 kBusy = 1u << 0;
constexpr u32 kDone = 1u << 1;
constexpr u32 kFailed = 1u << 2;
constexpr u32 kEveryStatus = kBusy | kDone | kFailed;
}  // namespace

void PluginName::describe(Schema<PluginName>& s) {
    s.doc("A PCI function that turns bytes in memory around");
    s.property("latency", &PluginName::latency_, {.doc = "time from the doorbell to the interrupt", .def = "20us"});
    s.memory<&PluginName::read, &PluginName::write>("registers", kBarBytes, 4, "BAR 0", &PluginName::registers_);
    s.timer<&PluginName::on_work>("work", &PluginName::work_);
    s.trace("done", &PluginName::done_, "a piece of work came to its end");
    plug_pci<&PluginName::pci_>(s);
}

bp_status PluginName::start() {
    // Ids that nobody owns: put your own here. Class FFh: fits no other class.
    pci_.identify({.vendor = 0xf0f0, .device = 0x0001, .base_class = 0xff, .revision = 1, .interrupt_pin = 1});
    pci_.memory_bar(0, kBarBytes, registers_);
    return BP_OK;
}

void PluginName::reset(Reset kind) {
    pci_.reset(kind);
    work_.cancel();
    status_ = address_ = length_ = 0;
}

void PluginName::state(StateVisitor& v) {
    pci_.state(v);
    v("status", status_, {.max = kEveryStatus});
    v("address", address_);
    v("length", length_);
}

bp_status PluginName::restored() {
    pci_.restored();
    return BP_OK;
}

u64 PluginName::read(u64 offset, u32) {
    switch (offset) {
        case kId: return kIdValue;
        case kStatus: return status_;
        case kAddress: return address_;
        case kLength: return length_;
        default: log_guest("read of the reserved register %03llx", static_cast<unsigned long long>(offset)); return 0;
    }
}

void PluginName::write(u64 offset, u32, u64 value) {
    switch (offset) {
        case kStatus:
            status_ &= ~(static_cast<u32>(value) & (kDone | kFailed));
            update_interrupt();
            break;
        case kAddress: address_ = static_cast<u32>(value); break;
        case kLength: length_ = static_cast<u32>(value); break;
        case kDoorbell:
            if (status_ & kBusy) {
                log_guest("doorbell while busy");
                break;
            }
            status_ |= kBusy;
            work_.arm_in(latency_.ns);
            break;
        default: log_guest("write to the register %03llx", static_cast<unsigned long long>(offset));
    }
}

void PluginName::on_work(i64) {
    const bool good = turn_around();
    done_("%u bytes at %08x: %s", length_, address_, good ? "done" : "failed");
    status_ = (status_ & ~kBusy) | (good ? kDone : kFailed);
    update_interrupt();
}

// False if the guest asks for what cannot be.
bool PluginName::turn_around() {
    std::array<u8, kMostBytes> bytes{};
    if (!pci_.bus_master() || length_ > kMostBytes) return false;
    if (dma_read(address_, bytes.data(), length_) != BP_OK) return false;
    std::reverse(bytes.begin(), bytes.begin() + length_);
    return dma_write(address_, bytes.data(), length_) == BP_OK;
}

void PluginName::update_interrupt() { pci_.set_intx(status_ & (kDone | kFailed)); }

}  // namespace example
