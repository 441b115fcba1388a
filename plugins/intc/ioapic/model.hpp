// Intel 82093AA I/O advanced programmable interrupt controller (data sheet 290566-001).
#pragma once

#include <array>

#include "backplane/abi/apic.h"
#include "backplane/device.hpp"

namespace backplane::intc {

class IoApic : public Device<IoApic> {
  public:
    static constexpr std::string_view kType = "intc.ioapic";
    static constexpr u32 kPins = 24;
    using Device::Device;
    static void describe(Schema<IoApic>& s);

    bp_status start();
    void reset(Reset kind);
    void state(StateVisitor& v);

  private:
    u64 read(u64 offset, u32 bytes);
    void write(u64 offset, u32 bytes, u64 value);
    u32 read_register() const;
    void write_register(u32 value);
    void pin(u32 number, bool level);
    void serve(u32 number);
    void send(u64 entry);
    void end_of_interrupt(u32 vector);

    static const bp_apic_io kIo;

    Link<bp_apic_bus> bus_;
    u8 select_ = 0;
    u8 id_ = 0;
    u32 pins_ = 0;  // levels
    std::array<u64, kPins> entries_{};
    TracePoint trace_;
};

}  // namespace backplane::intc
