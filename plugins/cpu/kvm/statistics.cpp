#include "statistics.hpp"

namespace backplane::kvm {

std::string_view name_of(Reason reason) {
    switch (reason) {
        case Reason::kReset: return "reset";
        case Reason::kSmm: return "system-management";
        case Reason::kA20: return "a20";
        case Reason::kStartup: return "startup";
        case Reason::kTrap: return "trap";
        case Reason::kDebugger: return "debugger";
        case Reason::kRefused: return "refused-state";
        case Reason::kInternalError: return "internal-error";
        case Reason::kUnknownExit: return "unknown-exit";
        case Reason::kNoProgress: return "no-progress";
        case Reason::kCount: break;
    }
    return "?";
}

std::string_view name_of(Exit exit) {
    switch (exit) {
        case Exit::kIo: return "io";
        case Exit::kMmio: return "mmio";
        case Exit::kHalt: return "halt";
        case Exit::kWindow: return "interrupt-window";
        case Exit::kSignal: return "signal";
        case Exit::kMsr: return "msr";
        case Exit::kOther: return "other";
        case Exit::kCount: break;
    }
    return "?";
}

std::string Statistics::text() const {
    std::string out = "KVM: " + std::to_string(entries) + " entries; exits:";
    for (std::size_t i = 0; i < exits.size(); ++i)
        out += " " + std::string(name_of(static_cast<Exit>(i))) + " " + std::to_string(exits[i]);
    out += "; interpreted:";
    bool any = false;
    for (std::size_t i = 0; i < handed.size(); ++i) {
        if (handed[i] == 0) continue;
        any = true;
        out += " " + std::string(name_of(static_cast<Reason>(i))) + " " + std::to_string(handed[i]) + " times, " +
               std::to_string(instructions[i]) + " instructions;";
    }
    if (!any) out += " nothing";
    if (out.back() == ';') out.pop_back();
    return out;
}

std::string Statistics::json() const {
    std::string out = "\"entries\": " + std::to_string(entries) + ", \"interrupts\": " + std::to_string(interrupts) +
                      ", \"nmis\": " + std::to_string(nmis) + ", \"exits\": {";
    for (std::size_t i = 0; i < exits.size(); ++i)
        out += std::string(i == 0 ? "" : ", ") + "\"" + std::string(name_of(static_cast<Exit>(i))) +
               "\": " + std::to_string(exits[i]);
    out += "}, \"interpreted\": {";
    bool first = true;
    for (std::size_t i = 0; i < handed.size(); ++i) {
        if (handed[i] == 0) continue;
        out += std::string(first ? "" : ", ") + "\"" + std::string(name_of(static_cast<Reason>(i))) +
               "\": {\"times\": " + std::to_string(handed[i]) +
               ", \"instructions\": " + std::to_string(instructions[i]) + "}";
        first = false;
    }
    return out + "}";
}

}  // namespace backplane::kvm
