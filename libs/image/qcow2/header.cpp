#include "image/qcow2/header.hpp"

#include <algorithm>

namespace backplane::image::qcow2 {

namespace {

constexpr u32 kV2Bytes = 72;
constexpr u32 kV3Bytes = 104;
constexpr u32 kCompressionAt = 104;
constexpr u32 kLongest = 4096;  // no version comes near it

std::string at(u64 offset, const std::string& text) { return "offset " + std::to_string(offset) + ": " + text; }

std::string table(u64 where, const char* what, u64 offset, u64 bytes, u64 cluster, u64 file_bytes) {
    if (offset % cluster)
        return at(where, std::string(what) + " at " + std::to_string(offset) + " does not start at a cluster");
    if (offset == 0 && bytes) return at(where, std::string(what) + " would lie over the header");
    if (offset >= kMaxOffset || bytes > kMaxOffset - offset)
        return at(where, std::string(what) + " at " + std::to_string(offset) + " lies beyond what the format allows");
    // The last table of a file may end in a hole that was never written; it has to begin inside.
    if (bytes && offset >= round_up(file_bytes, cluster))
        return at(where, std::string(what) + " at " + std::to_string(offset) + " lies behind the end of the file (" +
                             std::to_string(file_bytes) + " bytes)");
    return {};
}

}  // namespace

bool Header::probe(std::span<const u8> data) { return data.size() >= 8 && be32(data.data()) == kMagic; }

u64 Header::parse_bytes(std::span<const u8> data) {
    if (!probe(data) || data.size() < 24) return 0;
    const u32 bits = be32(&data[20]);
    return bits < kMinClusterBits || bits > kMaxClusterBits ? 0 : u64{1} << bits;
}

std::string Header::parse(std::span<const u8> data, u64 file_bytes) {
    if (!probe(data)) return at(0, "no qcow2 header");
    version = be32(&data[4]);
    if (version == 1) return at(4, "this is qcow version 1, which is not supported; convert it with qemu-img");
    if (version != 2 && version != 3) return at(4, "version " + std::to_string(version) + " is not known");
    if (data.size() < (version == 2 ? kV2Bytes : kV3Bytes)) return at(data.size(), "the file ends within the header");
    if (std::string error = parse_fields(data, file_bytes); !error.empty()) return error;

    const u64 name_offset = be64(&data[8]);
    const u32 name_bytes = be32(&data[16]);
    const u64 end = std::min<u64>(cluster_bytes(), data.size());
    backing_name_offset = name_offset;
    backing_file.clear();
    backing_format.clear();
    extensions.clear();
    if (name_offset) {
        if (name_bytes > kMaxBackingName)
            return at(16, "the name of the backing file is " + std::to_string(name_bytes) + " bytes long, more than " +
                              std::to_string(kMaxBackingName));
        if (name_offset < header_bytes || name_offset > end || name_bytes > end - name_offset)
            return at(8, "the name of the backing file lies outside the header's cluster");
        backing_file.assign(reinterpret_cast<const char*>(&data[0]) + name_offset, name_bytes);
        if (backing_file.find('\0') != std::string::npos)
            return at(name_offset, "the name of the backing file has a zero byte in it");
    }
    return parse_extensions(data, header_bytes, name_offset ? name_offset : end);
}

std::string Header::parse_fields(std::span<const u8> data, u64 file_bytes) {
    const u32 bits = be32(&data[20]);
    if (bits < kMinClusterBits || bits > kMaxClusterBits)
        return at(20, "cluster size 2^" + std::to_string(bits) + " is not between 2^9 and 2^21");
    cluster_bits = bits;
    bytes = be64(&data[24]);
    if (const u32 method = be32(&data[32]); method != 0)
        return at(32, method <= 2 ? std::string("the image is encrypted, which is not supported")
                                  : "encryption method " + std::to_string(method) + " is not known");
    l1_entries = be32(&data[36]);
    l1_offset = be64(&data[40]);
    refcount_table_offset = be64(&data[48]);
    refcount_table_clusters = be32(&data[56]);
    snapshots = be32(&data[60]);
    snapshots_offset = be64(&data[64]);
    incompatible = compatible = autoclear = 0;
    refcount_order = 4;
    header_bytes = kV2Bytes;
    if (version == 3) {
        incompatible = be64(&data[72]);
        compatible = be64(&data[80]);
        autoclear = be64(&data[88]);
        const u32 order = be32(&data[96]);
        if (order > kMaxRefcountOrder)
            return at(96, "reference counts of 2^" + std::to_string(order) + " bits are wider than 64");
        refcount_order = order;
        header_bytes = be32(&data[100]);
        if (header_bytes < kV3Bytes || header_bytes > std::min<u64>(kLongest, cluster_bytes()) ||
            header_bytes > data.size())
            return at(100, "a header of " + std::to_string(header_bytes) + " bytes cannot be");
        if (header_bytes > kCompressionAt) {
            const u8 type = data[kCompressionAt];
            if (type > 1) return at(kCompressionAt, "compression type " + std::to_string(type) + " is not known");
            compression = static_cast<Compression>(type);
        }
        if ((compression != Compression::kZlib) != ((incompatible & kCompressionType) != 0))
            return at(72, "the bit of the compression type and the type do not agree");
        if (header_bytes > kCompressionAt + 8) rest.assign(&data[kCompressionAt + 8], &data[0] + header_bytes);
    }
    if (l1_entries > kMaxL1Bytes / 8)
        return at(36, "an L1 table of " + std::to_string(l1_entries) + " entries is too long");
    if (bytes > kMaxOffset || l1_needed(bytes) > l1_entries)
        return at(24, "the L1 table of " + std::to_string(l1_entries) + " entries is too short for a disk of " +
                          std::to_string(bytes) + " bytes");
    if (refcount_table_clusters == 0) return at(56, "there is no reference count table");
    if (refcount_table_clusters > kMaxRefcountTableBytes >> cluster_bits)
        return at(56,
                  "a reference count table of " + std::to_string(refcount_table_clusters) + " clusters is too long");
    if (snapshots > kMaxSnapshots) return at(60, std::to_string(snapshots) + " snapshots are too many");
    std::string error = table(40, "the L1 table", l1_offset, u64{l1_entries} * 8, cluster_bytes(), file_bytes);
    if (error.empty())
        error = table(48, "the reference count table", refcount_table_offset,
                      u64{refcount_table_clusters} << cluster_bits, cluster_bytes(), file_bytes);
    if (error.empty())
        error = table(64, "the snapshot table", snapshots_offset, snapshots ? 1 : 0, cluster_bytes(), file_bytes);
    return error;
}

std::string Header::parse_extensions(std::span<const u8> data, u64 from, u64 to) {
    to = std::min<u64>(to, data.size());
    for (u64 p = from; p + 8 <= to;) {
        const u32 type = be32(&data[p]), length = be32(&data[p + 4]);
        if (type == kExtEnd) return {};
        if (length > to - p - 8)
            return at(p, "header extension " + std::to_string(type) + " of " + std::to_string(length) +
                             " bytes runs over its end");
        const u8* content = data.data() + p + 8;
        if (type == kExtBackingFormat) {
            backing_format.assign(reinterpret_cast<const char*>(content), length);
            if (backing_format.size() > 15 || backing_format.find('\0') != std::string::npos)
                return at(p, "the format of the backing file is no name");
        } else {
            extensions.push_back({type, {content, content + length}});
        }
        p += 8 + round_up(length, 8);
    }
    return {};
}

std::vector<u8> Header::fixed() const {
    std::vector<u8> out(version == 2 ? kV2Bytes : std::max(header_bytes, kV3Bytes));
    put32(&out[0], kMagic);
    put32(&out[4], version);
    put64(&out[8], backing_name_offset);
    put32(&out[16], backing_name_offset ? static_cast<u32>(backing_file.size()) : 0);
    put32(&out[20], cluster_bits);
    put64(&out[24], bytes);
    put32(&out[36], l1_entries);
    put64(&out[40], l1_offset);
    put64(&out[48], refcount_table_offset);
    put32(&out[56], refcount_table_clusters);
    put32(&out[60], snapshots);
    put64(&out[64], snapshots_offset);
    if (version >= 3) {
        put64(&out[72], incompatible);
        put64(&out[80], compatible);
        put64(&out[88], autoclear);
        put32(&out[96], refcount_order);
        put32(&out[100], static_cast<u32>(out.size()));
        if (out.size() > kCompressionAt) out[kCompressionAt] = static_cast<u8>(compression);
        if (out.size() > kCompressionAt + 8)
            std::copy_n(rest.begin(), std::min(rest.size(), out.size() - kCompressionAt - 8),
                        out.begin() + kCompressionAt + 8);
    }
    return out;
}

std::vector<u8> Header::serialize() {
    backing_name_offset = 0;
    std::vector<u8> out = fixed();
    const auto add = [&out](u32 type, const u8* data, std::size_t size) {
        const std::size_t p = out.size();
        out.resize(p + 8 + round_up(size, 8));
        put32(&out[p], type);
        put32(&out[p + 4], static_cast<u32>(size));
        if (size) std::memcpy(&out[p + 8], data, size);
    };
    out.resize(round_up(out.size(), 8));
    if (!backing_format.empty())
        add(kExtBackingFormat, reinterpret_cast<const u8*>(backing_format.data()), backing_format.size());
    for (const Extension& e : extensions) add(e.type, e.data.data(), e.data.size());
    add(kExtEnd, nullptr, 0);
    if (!backing_file.empty()) {
        const std::size_t p = out.size();
        out.insert(out.end(), backing_file.begin(), backing_file.end());
        put64(&out[8], backing_name_offset = p);
        put32(&out[16], static_cast<u32>(backing_file.size()));
    }
    if (out.size() > cluster_bytes()) return {};
    return out;
}

std::string feature_name(const Header& header, unsigned bit) {
    for (const Extension& e : header.extensions)
        if (e.type == kExtFeatureNames)
            for (std::size_t p = 0; p + 48 <= e.data.size(); p += 48)
                if (e.data[p] == 0 && e.data[p + 1] == bit) {
                    const char* name = reinterpret_cast<const char*>(&e.data[p + 2]);
                    std::string text(name, strnlen(name, 46));
                    for (char& c : text)
                        if (c < ' ' || c > '~') c = '?';
                    return text;
                }
    switch (u64{1} << bit) {
        case kExternalData: return "external data file";
        case kExtendedL2: return "extended L2 entries";
        default: return "feature " + std::to_string(bit);
    }
}

}  // namespace backplane::image::qcow2
