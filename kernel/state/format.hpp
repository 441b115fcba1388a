// The bytes of a snapshot file: what writer and reader share. docs/snapshots.md has the layout.
#pragma once

#include <string>
#include <string_view>

#include "kernel/state/snapshot.hpp"

namespace backplane::kernel::format {

inline constexpr u32 kVersion = 1;
inline constexpr std::size_t kFileHeader = 16;
inline constexpr std::size_t kSectionHeader = 56;
inline constexpr std::size_t kChunkHeader = 8;
inline constexpr std::string_view kSectionMagic = "SECT";

inline constexpr u32 kRequired = 1;  // a reader that does not know the section refuses the file
inline constexpr u32 kChunked = 2;   // the content is compressed in pieces

inline constexpr std::string_view kMachine = "machine", kDevices = "devices", kCpus = "cpus", kFacts = "facts",
                                  kMemory = "memory", kRam = "ram", kEnd = "end";

// More than any machine needs; what is larger is refused before anything is allocated.
inline constexpr u64 kMaxMemory = u64{64} << 30;        // all blocks together
inline constexpr u64 kMaxModelSection = u64{16} << 20;  // machine, devices, facts, memory
inline constexpr u32 kMaxName = 256;
inline constexpr u32 kMaxText = u32{1} << 20;
inline constexpr u32 kMaxVcpus = 1024;
inline constexpr u32 kMaxDevices = 65536;
inline constexpr u32 kMaxItems = u32{1} << 20;  // fields, lines, timers, properties of a device; facts
inline constexpr u32 kMaxBlocks = 65536;
inline constexpr i64 kMaxTime = i64{1} << 62;  // so that differences of times cannot overflow

u32 checksum(std::string_view bytes, u32 before = 0);  // CRC-32 as in zlib

void put_u32(std::string& out, u32 value);
void put_u64(std::string& out, u64 value);
void set_u32(char* at, u32 value);
u32 get_u32(const char* at);
u64 get_u64(const char* at);

struct Section {
    std::string name;
    u32 flags = 0;
    u64 stored_size = 0, raw_size = 0;
    u32 version = 1;
    u32 content_checksum = 0;

    std::string header() const;
};
std::string file_header();
// The running checksum over all headers that the end section holds. A header's own checksum, its last 4 bytes, is left
// out: a CRC over bytes and their CRC is always the same.
u32 checksum_of_header(std::string_view header, u32 before = 0);

// The content of the sections that hold the model.
std::string encode_machine(const Snapshot& s);
std::string encode_devices(const Snapshot& s);
std::string encode_cpus(const Snapshot& s);  // "" if there are none
std::string encode_facts(const Snapshot& s);
std::string encode_memory(const Snapshot& s);

// The reverse, into `s`. `place` begins every error, `base` is the content's offset in the file. Throws Error.
struct Content {
    std::string_view bytes;
    std::string place;
    u64 base = 0;
};
void decode_machine(const Content& content, Snapshot& s);
void decode_devices(const Content& content, Snapshot& s);
void decode_cpus(const Content& content, Snapshot& s);  // after the devices
void decode_facts(const Content& content, Snapshot& s);
void decode_memory(const Content& content, Snapshot& s);

[[noreturn]] void fail_at(const std::string& place, u64 offset, const std::string& text);

}  // namespace backplane::kernel::format
