#include "gdb/session.hpp"

namespace backplane::gdb {

Session::Session(Target& target, Send send) : target_(target), send_(std::move(send)) {
    const u32 features = target_.features(0);
    registers_ = registers_of(features);
    description_ = description_of(features, registers_);
}

void Session::take(std::string_view bytes) {
    while (!over_) {
        const auto piece = decoder_.next(bytes);
        if (!piece) return;
        switch (piece->kind) {
            case Decoder::Kind::kInterrupt: interrupt(); break;
            case Decoder::Kind::kRepeat:
                if (acknowledge_ && !last_.empty()) send_(last_);
                break;
            case Decoder::Kind::kDamaged:
                if (acknowledge_) send_("-");
                break;
            case Decoder::Kind::kTooLong:
                if (acknowledge_) send_("+");
                reply(kErrorInvalid);
                break;
            case Decoder::Kind::kPacket:
                if (acknowledge_) send_("+");
                packet(piece->text);
                break;
        }
    }
}

void Session::reply(std::string_view text) {
    last_ = framed(text);
    send_(last_);
}

void Session::packet(std::string_view text) {
    const bool ran = running_;
    const std::string said = answer(text);
    if (over_ && said.empty()) return;             // killed
    if (running_ && !ran && said.empty()) return;  // the answer is the next stop
    reply(said);
}

// "" is the answer to what is not known.
std::string Session::answer(std::string_view text) {
    if (text.empty()) return "";
    const char command = text.front();
    const std::string_view rest = text.substr(1);
    switch (command) {
        case '?': return stop_reply();
        case 'g': return read_registers();
        case 'G': return write_registers(rest);
        case 'p': return read_register(rest);
        case 'P': return write_register(rest);
        case 'm': return read_memory(rest, false);
        case 'x': return read_memory(rest, true);
        case 'M': return write_memory(rest, false);
        case 'X': return write_memory(rest, true);
        case 'Z': return point(rest, true);
        case 'z': return point(rest, false);
        case 'c':
        case 'C':
        case 's':
        case 'S': return resume(text);
        case 'H': return select(rest);
        case 'T': return cpu_of(rest) ? "OK" : kErrorInvalid;
        case 'q': return query(rest);
        case 'Q': return set(rest);
        case 'D':
            over_ = true;
            target_.leave(true);
            return "OK";
        case 'k':
            over_ = true;
            target_.kill();
            return "";
        default: break;
    }
    if (text == "vCont?") return "vCont;c;C;s;S";
    if (text.starts_with("vCont;")) return continue_threads(text.substr(5));
    if (text == "vCtrlC") {
        interrupt();
        return "OK";
    }
    if (text == "vKill" || text.starts_with("vKill;")) {
        over_ = true;
        target_.kill();
        return "OK";
    }
    return "";
}

// A thread by its number; 0 and -1 mean any.
std::optional<std::size_t> Session::cpu_of(std::string_view id) const {
    if (id == "-1" || id == "0") return cpu_;
    const auto number = take_hex(id);
    if (!number || !id.empty() || *number > target_.cpus()) return std::nullopt;
    return static_cast<std::size_t>(*number - 1);
}

std::string Session::select(std::string_view text) {
    if (text.empty()) return kErrorInvalid;
    const auto cpu = cpu_of(text.substr(1));
    if (!cpu) return kErrorInvalid;
    if (text.front() == 'g')
        cpu_ = *cpu;
    else if (text.front() == 'c')
        only_ = text.substr(1) == "-1" || text.substr(1) == "0" ? std::nullopt : cpu;
    else
        return kErrorInvalid;
    return "OK";
}

}  // namespace backplane::gdb
