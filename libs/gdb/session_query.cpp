// What the client asks about the machine, and how it wants to be served.
#include <algorithm>

#include "gdb/session.hpp"

namespace backplane::gdb {

namespace {
// Part `OFFSET,LENGTH` of a text, as all transfers do.
std::string part(std::string_view whole, std::string_view range) {
    const auto offset = take_hex(range);
    if (!offset || range.empty() || range.front() != ',') return kErrorInvalid;
    range.remove_prefix(1);
    const auto length = take_hex(range);
    if (!length || !range.empty() || *offset > whole.size()) return kErrorInvalid;
    const std::string_view rest = whole.substr(*offset);
    const std::string_view some = rest.substr(0, std::min<u64>(*length, kPacketSize / 2));
    return (some.size() == rest.size() ? "l" : "m") + std::string(some);
}
}  // namespace

std::string Session::query(std::string_view text) {
    if (text.starts_with("Supported")) return supported(text);
    if (text.starts_with("Xfer:features:read:target.xml:")) return part(description_, text.substr(text.rfind(':') + 1));
    if (text == "C") return "QC" + hex_number(cpu_ + 1);
    if (text == "fThreadInfo") {
        std::string list = "m";
        for (std::size_t i = 0; i < target_.cpus(); ++i) list += (i ? "," : "") + hex_number(i + 1);
        return list;
    }
    if (text == "sThreadInfo") return "l";
    if (text.starts_with("ThreadExtraInfo,")) {
        const auto cpu = cpu_of(text.substr(text.find(',') + 1));
        if (!cpu) return kErrorInvalid;
        const u32 events = target_.state(*cpu).events;
        return hex(target_.cpu_name(*cpu) + ((events & BP_X86_SHUTDOWN)                        ? " [shut down]"
                                             : (events & BP_X86_WAIT_FOR_SIPI)                 ? " [not started]"
                                             : (events & BP_X86_HALTED)                        ? " [halted]"
                                             : (events & static_cast<u32>(BP_X86_IN_SMM)) != 0 ? " [in SMM]"
                                                                                               : ""));
    }
    if (text == "Attached" || text.starts_with("Attached:")) return "1";
    if (text.starts_with("Rcmd,")) return monitor(text.substr(5));
    if (text == "qemu.PhyMemMode") return physical_ ? "1" : "0";
    if (text == "qemu.sstepbits") return "ENABLE=1,NOIRQ=2,NOTIMER=4";
    if (text == "qemu.sstep") return "0x" + hex_number(steps_);
    return "";
}

std::string Session::set(std::string_view text) {
    if (text == "StartNoAckMode") {
        acknowledge_ = false;
        return "OK";
    }
    if (text.starts_with("qemu.PhyMemMode:")) {
        std::string_view value = text.substr(text.find(':') + 1);
        const auto number = take_hex(value);
        if (!number || !value.empty() || *number > 1) return kErrorInvalid;
        physical_ = *number == 1;
        return "OK";
    }
    if (text.starts_with("qemu.sstep=")) return set_steps(text.substr(text.find('=') + 1));
    return "";
}

// With NOIRQ interrupts wait while a step is made; timers always go on.
std::string Session::set_steps(std::string_view text) {
    if (text.starts_with("0x")) text.remove_prefix(2);
    const auto number = take_hex(text);
    if (!number || !text.empty() || (*number & ~u64{kStepKnown}) != 0) return kErrorInvalid;
    steps_ = static_cast<u32>(*number);
    return "OK";
}

std::string Session::supported(std::string_view text) {
    const std::string list = std::string(text) + ";";
    client_knows_swbreak_ = list.find("swbreak+;") != std::string::npos;
    client_knows_hwbreak_ = list.find("hwbreak+;") != std::string::npos;
    return "PacketSize=" + hex_number(kPacketSize) +
           ";qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+;binary-upload+";
}

std::string Session::monitor(std::string_view text) {
    const auto line = unhex(text);
    if (!line) return kErrorInvalid;
    std::string said = target_.monitor(*line);
    constexpr std::size_t kMost = kPacketSize / 2 - 16;
    for (std::size_t at = 0; at < said.size(); at += kMost) reply("O" + hex(said.substr(at, kMost)));
    return "OK";
}

}  // namespace backplane::gdb
