// Registers, memory, breakpoints and watchpoints.
#include <algorithm>

#include "gdb/session.hpp"

namespace backplane::gdb {

namespace {
std::string bytes_of(const Register& r, const bp_x86_state& state) {
    std::string bytes(r.bits / 8, '\0');
    r.read(state, reinterpret_cast<u8*>(bytes.data()));
    return bytes;
}
bool set_bytes(const Register& r, bp_x86_state& state, const std::string& bytes) {
    return r.write(state, reinterpret_cast<const u8*>(bytes.data()));
}
// "ADDRESS,LENGTH" up to the end or to `behind`.
bool take_range(std::string_view& text, u64& address, u64& length) {
    const auto first = take_hex(text);
    if (!first || text.empty() || text.front() != ',') return false;
    text.remove_prefix(1);
    const auto second = take_hex(text);
    if (!second) return false;
    address = *first, length = *second;
    return true;
}
}  // namespace

std::string Session::read_registers() {
    const bp_x86_state state = target_.state(cpu_);
    std::string bytes;
    for (const Register& r : registers_) bytes += bytes_of(r, state);
    return hex(bytes);
}

std::string Session::write_registers(std::string_view text) {
    const auto bytes = unhex(text);
    std::size_t size = 0;
    for (const Register& r : registers_) size += r.bits / 8;
    if (!bytes || bytes->size() != size) return kErrorInvalid;
    bp_x86_state state = target_.state(cpu_);
    std::size_t at = 0;
    for (const Register& r : registers_) {
        if (!set_bytes(r, state, bytes->substr(at, r.bits / 8))) return kErrorInvalid;
        at += r.bits / 8;
    }
    return target_.set_state(cpu_, state) ? "OK" : kErrorInvalid;
}

std::string Session::read_register(std::string_view text) {
    const auto number = take_hex(text);
    if (!number || !text.empty() || *number >= registers_.size()) return kErrorInvalid;
    return hex(bytes_of(registers_[*number], target_.state(cpu_)));
}

std::string Session::write_register(std::string_view text) {
    const auto number = take_hex(text);
    if (!number || *number >= registers_.size() || text.empty() || text.front() != '=') return kErrorInvalid;
    const auto bytes = unhex(text.substr(1));
    const Register& r = registers_[*number];
    if (!bytes || bytes->size() != r.bits / 8) return kErrorInvalid;
    bp_x86_state state = target_.state(cpu_);
    return set_bytes(r, state, *bytes) && target_.set_state(cpu_, state) ? "OK" : kErrorInvalid;
}

std::string Session::read_memory(std::string_view text, bool binary) {
    u64 address = 0, length = 0;
    if (!take_range(text, address, length) || !text.empty()) return kErrorInvalid;
    std::string bytes(std::min<u64>(length, kPacketSize / 2 - 16), '\0');
    const u64 got = target_.read(cpu_, address, bytes.data(), bytes.size(), physical_);
    if (got == 0 && length != 0) return kErrorAddress;
    bytes.resize(std::min<u64>(got, bytes.size()));
    return binary ? "b" + bytes : hex(bytes);
}

std::string Session::write_memory(std::string_view text, bool binary) {
    u64 address = 0, length = 0;
    if (!take_range(text, address, length) || text.empty() || text.front() != ':') return kErrorInvalid;
    text.remove_prefix(1);
    const auto bytes = binary ? std::optional(std::string(text)) : unhex(text);
    if (!bytes || bytes->size() != length) return kErrorInvalid;
    return target_.write(cpu_, address, bytes->data(), bytes->size(), physical_) == length ? "OK" : kErrorAddress;
}

// Z and z: "TYPE,ADDRESS,KIND". Conditions and commands of the client's stay with it.
std::string Session::point(std::string_view text, bool insert) {
    if (text.size() < 2 || text[1] != ',') return kErrorInvalid;
    const char type = text.front();
    text.remove_prefix(2);
    u64 address = 0, length = 0;
    if (!take_range(text, address, length) || (!text.empty() && text.front() != ';')) return kErrorInvalid;
    if (type == '0' || type == '1') {
        const bool good = insert ? target_.add_breakpoint(address) : target_.remove_breakpoint(address);
        std::erase(hard_, address);
        if (insert && type == '1') hard_.push_back(address);
        return good ? "OK" : insert ? kErrorFull : kErrorInvalid;
    }
    if (type < '2' || type > '4') return "";
    const u32 access = type == '2' ? BP_WATCH_WRITE : type == '3' ? BP_WATCH_READ : BP_WATCH_READ | BP_WATCH_WRITE;
    if (length == 0 || length > 8) return kErrorInvalid;
    const auto bytes = static_cast<u32>(length);
    const bool good =
        insert ? target_.add_watchpoint(address, bytes, access) : target_.remove_watchpoint(address, bytes, access);
    return good ? "OK" : insert ? kErrorFull : kErrorInvalid;
}

}  // namespace backplane::gdb
