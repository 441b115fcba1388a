// The model of a snapshot as bytes.
#include <zlib.h>

#include <cstring>

#include "kernel/state/format.hpp"

namespace backplane::kernel::format {

u32 checksum(std::string_view bytes, u32 before) {
    return static_cast<u32>(crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

void put_u32(std::string& out, u32 value) {
    for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(value >> shift & 0xff));
}
void put_u64(std::string& out, u64 value) {
    for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(value >> shift & 0xff));
}
void set_u32(char* at, u32 value) {
    for (int i = 0; i < 4; ++i) at[i] = static_cast<char>(value >> 8 * i & 0xff);
}
u32 get_u32(const char* at) {
    u32 value = 0;
    for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<u8>(at[i]);
    return value;
}
u64 get_u64(const char* at) { return get_u32(at) | u64{get_u32(at + 4)} << 32; }

std::string file_header() {
    std::string out(kSnapshotMagic);
    put_u32(out, kVersion);
    put_u32(out, checksum(out));
    return out;
}

u32 checksum_of_header(std::string_view header, u32 before) {
    return checksum(header.substr(0, header.size() - 4), before);
}

std::string Section::header() const {
    std::string out(kSectionMagic);
    put_u32(out, flags);
    std::string padded = name;
    padded.resize(16);
    out += padded;
    put_u64(out, stored_size);
    put_u64(out, raw_size);
    put_u32(out, version);
    put_u32(out, content_checksum);
    put_u32(out, 0);
    put_u32(out, checksum(out));
    return out;
}

namespace {

void put_text(std::string& out, const std::string& text) {
    put_u32(out, static_cast<u32>(text.size()));
    out += text;
}
void put_bool(std::string& out, bool value) { out.push_back(value ? '\1' : '\0'); }
template <class List>
void put_count(std::string& out, const List& list) {
    put_u32(out, static_cast<u32>(list.size()));
}
void put_fields(std::string& out, const std::vector<StateValue>& fields) {
    put_count(out, fields);
    for (const StateValue& f : fields) {
        put_text(out, f.name);
        for (const u32 number : {f.kind, f.element_size, f.since, f.flags}) put_u32(out, number);
        put_u64(out, f.count);
        out += f.bytes;
    }
}
void put_pairs(std::string& out, const std::vector<std::pair<std::string, std::string>>& pairs) {
    put_count(out, pairs);
    for (const auto& [name, value] : pairs) put_text(out, name), put_text(out, value);
}

}  // namespace

std::string encode_machine(const Snapshot& s) {
    std::string out;
    put_text(out, s.program_version);
    put_u32(out, s.abi_major);
    put_u32(out, s.abi_minor);
    put_text(out, s.board);
    put_text(out, s.request_json);
    put_bool(out, s.deterministic);
    put_u64(out, static_cast<u64>(s.time_ns));
    put_u64(out, s.start_time);
    put_u64(out, s.random_state);
    put_u64(out, s.timer_sequence);
    put_u64(out, s.timers_fired);
    put_count(out, s.instructions);
    for (const u64 count : s.instructions) put_u64(out, count);
    if (s.instructions.size() > 1) {
        put_u32(out, s.turn);
        put_u64(out, s.turn_left);
    }
    return out;
}

std::string encode_devices(const Snapshot& s) {
    std::string out;
    put_count(out, s.devices);
    for (const DeviceState& d : s.devices) {
        for (const std::string* text : {&d.name, &d.type, &d.plugin, &d.plugin_version, &d.plugin_kind})
            put_text(out, *text);
        put_u32(out, d.state_version);
        put_pairs(out, d.properties);
        put_fields(out, d.fields);
        put_count(out, d.lines);
        for (const auto& [name, level] : d.lines) put_text(out, name), put_bool(out, level);
        put_count(out, d.timers);
        for (const DeviceState::Timer& t : d.timers) {
            put_text(out, t.name);
            put_u64(out, static_cast<u64>(t.due));
            put_u64(out, t.sequence);
        }
    }
    return out;
}

std::string encode_cpus(const Snapshot& s) {
    std::string out;
    u32 count = 0;
    for (const DeviceState& d : s.devices) count += d.cpu.empty() ? 0 : 1;
    if (count == 0) return out;
    put_u32(out, count);
    for (const DeviceState& d : s.devices) {
        if (d.cpu.empty()) continue;
        put_text(out, d.name);
        put_fields(out, d.cpu);
    }
    return out;
}

std::string encode_facts(const Snapshot& s) {
    std::string out;
    put_count(out, s.facts);
    for (const FactState& f : s.facts) {
        put_text(out, f.from), put_text(out, f.what), put_text(out, f.key);
        put_pairs(out, f.fields);
    }
    return out;
}

std::string encode_memory(const Snapshot& s) {
    std::string out;
    put_count(out, s.memory);
    for (const MemoryState& m : s.memory) {
        put_text(out, m.owner), put_text(out, m.name);
        put_u64(out, m.size);
    }
    return out;
}

}  // namespace backplane::kernel::format
