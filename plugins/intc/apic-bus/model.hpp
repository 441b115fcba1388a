// The path on which I/O APICs, message-signalled interrupts and local APICs exchange messages: the system bus of an
// xAPIC machine (Intel SDM volume 3, "Message Signalled Interrupts" and "Handling Interrupts"). No registers; it
// decodes the window of message addresses.
#pragma once

#include <vector>

#include "backplane/abi/apic.h"
#include "backplane/abi/msi.h"
#include "backplane/device.hpp"

namespace backplane::intc {

class ApicBus : public Device<ApicBus> {
  public:
    static constexpr std::string_view kType = "intc.apic-bus";
    using Device::Device;
    static void describe(Schema<ApicBus>& s);

    void reset(Reset kind) { last_ = 0; }
    void state(StateVisitor& v) { v("last", last_); }

  private:
    template <class Table>
    struct Member {
        const Table* table;
        void* instance;
    };

    void write_window(u64 offset, u32 bytes, u64 value);
    u32 deliver(const bp_apic_message& message, const void* sender);
    u32 deliver_lowest(const bp_apic_message& message, const void* sender);
    bool addressed(const Member<bp_apic_local>& local, const bp_apic_message& message, const void* sender) const;
    void msi(u64 address, u32 data);
    void end_of_interrupt(u32 vector);

    static const bp_apic_bus kBus;
    static const bp_msi kMsi;

    std::vector<Member<bp_apic_local>> locals_;
    std::vector<Member<bp_apic_io>> ios_;
    u32 last_ = 0;  // who took the last lowest-priority interrupt: equals take turns
    TracePoint trace_;
};

}  // namespace backplane::intc
