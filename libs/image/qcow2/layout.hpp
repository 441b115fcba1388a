// The qcow2 file format, versions 2 and 3, as its public specification describes it: where the fields of the header
// stand, and what the bits of table entries mean. Everything on the disk is big-endian.
#pragma once

#include <cstring>

#include "backplane/types.hpp"

namespace backplane::image::qcow2 {

inline constexpr u32 kMagic = 0x514649fb;  // "QFI\xfb"

inline constexpr unsigned kMinClusterBits = 9;
inline constexpr unsigned kMaxClusterBits = 21;
inline constexpr unsigned kMaxRefcountOrder = 6;
// What other implementations accept as well; a table beyond that is a damaged or hostile header.
inline constexpr u64 kMaxL1Bytes = 32u << 20;
inline constexpr u64 kMaxRefcountTableBytes = 8u << 20;
inline constexpr u32 kMaxBackingName = 1023;
inline constexpr u32 kMaxSnapshots = 65536;
inline constexpr u64 kMaxSnapshotTableBytes = 64u << 20;
inline constexpr u32 kMaxSnapshotExtra = 1024;
inline constexpr u64 kMaxOffset = u64{1} << 56;  // entries have room for 56 bits

// Incompatible features.
inline constexpr u64 kDirty = 1;
inline constexpr u64 kCorrupt = 2;
inline constexpr u64 kExternalData = 4;
inline constexpr u64 kCompressionType = 8;
inline constexpr u64 kExtendedL2 = 16;
inline constexpr u64 kKnownIncompatible = kDirty | kCorrupt | kCompressionType;
// Compatible features.
inline constexpr u64 kLazyRefcounts = 1;
// Autoclear features.
inline constexpr u64 kBitmapsValid = 1;

// Header extensions.
inline constexpr u32 kExtEnd = 0;
inline constexpr u32 kExtBackingFormat = 0xe2792aca;
inline constexpr u32 kExtFeatureNames = 0x6803f857;
inline constexpr u32 kExtBitmaps = 0x23852875;
inline constexpr u32 kExtEncryption = 0x0537be77;

// Entries of L1 and L2 tables.
inline constexpr u64 kCopied = u64{1} << 63;      // reference count is exactly one: may be written in place
inline constexpr u64 kCompressed = u64{1} << 62;  // L2
inline constexpr u64 kZero = 1;                   // L2, version 3: reads as zeros
inline constexpr u64 kOffsetMask = 0x00fffffffffffe00;
inline constexpr u64 kL1Reserved = 0x7f000000000001ff;
inline constexpr u64 kL2Reserved = 0x3f000000000001fe;  // of a standard cluster

enum class Compression : u8 { kZlib = 0, kZstd = 1 };

inline u16 be16(const void* p) {
    u16 v;
    std::memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}
inline u32 be32(const void* p) {
    u32 v;
    std::memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}
inline u64 be64(const void* p) {
    u64 v;
    std::memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}
inline void put16(void* p, u16 v) {
    v = __builtin_bswap16(v);
    std::memcpy(p, &v, sizeof v);
}
inline void put32(void* p, u32 v) {
    v = __builtin_bswap32(v);
    std::memcpy(p, &v, sizeof v);
}
inline void put64(void* p, u64 v) {
    v = __builtin_bswap64(v);
    std::memcpy(p, &v, sizeof v);
}

constexpr u64 round_up(u64 value, u64 to) { return (value + to - 1) / to * to; }
constexpr u64 divide_up(u64 value, u64 by) { return value / by + (value % by ? 1 : 0); }

}  // namespace backplane::image::qcow2
