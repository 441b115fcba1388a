// Keyboard and mouse controller: Intel 8042 with the firmware of the IBM PS/2 (UPI-41/42 data sheet; IBM PS/2 Hardware
// Interface Technical Reference, "Keyboard and Auxiliary Device Controller").
#pragma once

#include <array>
#include <utility>

#include "backplane/abi/ps2.h"
#include "backplane/device.hpp"

namespace backplane {

struct I8042 : Device<I8042> {
    static constexpr std::string_view kType = "input.i8042";
    explicit I8042(const Slot& slot);

    static void describe(Schema<I8042>& s);
    void reset(Reset kind);
    void state(StateVisitor& v);

    u64 read_data(u64 offset, u32 bytes);
    void write_data(u64 offset, u32 bytes, u64 value);
    u64 read_status(u64 offset, u32 bytes);
    void write_command(u64 offset, u32 bytes, u64 value);
    void a20_changed(bool level);
    bp_status attach_keyboard(std::string_view address, std::string_view child, bp_interface device,
                              bp_interface* host);
    bp_status attach_mouse(std::string_view address, std::string_view child, bp_interface device, bp_interface* host);

  private:
    struct Port {
        I8042* controller = nullptr;
        Link<bp_ps2_device> device;
    };
    struct Reply {
        u8 byte = 0;
        bool aux = false;
    };
    static constexpr u32 kReplies = 8;
    static const bp_ps2_port kPortTable;

    bp_status attach(Port& port, std::string_view child, bp_interface device, bp_interface* host);
    void command(u8 code);
    void send(Port& port, bool aux, u8 byte);
    void reply(u8 byte, bool aux = false);
    void fill();
    void put(u8 byte, bool aux);
    u8 translate(u8 byte, bool* swallow);
    void write_output_port(u8 value);
    u8 output_port() const;
    void set_a20(bool on);
    void update_irqs();

    Port keyboard_, mouse_;
    LineOut irq_keyboard_, irq_mouse_, a20_line_;
    TracePoint trace_;

    u8 mode_ = 0;
    u8 output_ = 0;
    bool full_ = false;
    bool aux_ = false;
    bool self_tested_ = false;
    bool a20_ = true;
    bool released_ = false;
    u8 awaited_ = 0;
    std::array<Reply, kReplies> replies_{};
    u32 reply_count_ = 0;
};

}  // namespace backplane
