// The header of a qcow2 file: read with every field checked, changed, and written back with extensions nobody here
// knows left in place.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "image/qcow2/layout.hpp"

namespace backplane::image::qcow2 {

struct Extension {
    u32 type = 0;
    std::vector<u8> data;
};

struct Header {
    u32 version = 3;
    unsigned cluster_bits = 16;
    u64 bytes = 0;  // of the virtual disk
    u64 l1_offset = 0;
    u32 l1_entries = 0;
    u64 refcount_table_offset = 0;
    u32 refcount_table_clusters = 0;
    u32 snapshots = 0;
    u64 snapshots_offset = 0;
    u64 incompatible = 0;
    u64 compatible = 0;
    u64 autoclear = 0;
    unsigned refcount_order = 4;
    u32 header_bytes = 104;
    Compression compression = Compression::kZlib;
    std::vector<u8> rest;  // of a longer header than is known here
    std::vector<Extension> extensions;
    std::string backing_file;
    std::string backing_format;   // empty: none given
    u64 backing_name_offset = 0;  // where the name stands in the file; serialize() sets it

    u64 cluster_bytes() const { return u64{1} << cluster_bits; }
    u64 l2_entries() const { return u64{1} << (cluster_bits - 3); }
    u64 bytes_per_l2() const { return u64{1} << (2 * cluster_bits - 3); }
    u64 l1_needed(u64 size) const { return divide_up(size, bytes_per_l2()); }

    // Reads the header from the start of a file; `data` is at least its first cluster (or the whole file). An error
    // text says what is wrong and where ("offset 24: ..."); empty: all is well.
    std::string parse(std::span<const u8> data, u64 file_bytes);
    // Whether something starts at `data` that parse() would look at.
    static bool probe(std::span<const u8> data);
    // How much of a file parse() has to see: its first cluster. 0: not plausible.
    static u64 parse_bytes(std::span<const u8> data);

    // The header's fixed fields alone, for a change of them in place. At most 512 bytes, so one sector.
    std::vector<u8> fixed() const;
    // Header, extensions and backing file name. Empty if they do not fit into one cluster.
    std::vector<u8> serialize();

  private:
    std::string parse_fields(std::span<const u8> data, u64 file_bytes);
    std::string parse_extensions(std::span<const u8> data, u64 from, u64 to);
};

// Name of an incompatible feature bit, from the file's own table of names or what is known here.
std::string feature_name(const Header& header, unsigned bit);

}  // namespace backplane::image::qcow2
