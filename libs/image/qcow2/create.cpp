#include "image/qcow2/create.hpp"

#include <algorithm>
#include <cerrno>

#include "image/qcow2/volume.hpp"

namespace backplane::image::qcow2 {

namespace {

// The features that this program may set, for programs that know fewer.
Extension feature_names() {
    struct Name {
        u8 kind, bit;
        const char* text;
    };
    static constexpr Name kNames[] = {
        {0, 0, "dirty bit"},        {0, 1, "corrupt bit"},         {0, 2, "external data file"},
        {0, 3, "compression type"}, {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"},
        {2, 0, "bitmaps"}};
    static constexpr std::size_t kEntry = 48;
    Extension e{kExtFeatureNames, std::vector<u8>(std::size(kNames) * kEntry)};
    u8* p = e.data.data();
    for (const Name& n : kNames) {
        p[0] = n.kind;
        p[1] = n.bit;
        std::memcpy(p + 2, n.text, std::strlen(n.text));
        p += kEntry;
    }
    return e;
}

Header plan(const CreateOptions& o) {
    Header h;
    h.version = o.version;
    h.cluster_bits = o.cluster_bits;
    h.bytes = o.bytes;
    h.refcount_order = o.refcount_order;
    h.header_bytes = 112;
    h.compression = o.compression;
    if (o.compression != Compression::kZlib) h.incompatible |= kCompressionType;
    if (o.lazy_refcounts) h.compatible |= kLazyRefcounts;
    if (o.version >= 3 && o.cluster_bits > kMinClusterBits) h.extensions.push_back(feature_names());
    h.backing_file = o.backing_file;
    h.backing_format = o.backing_file.empty() ? "" : o.backing_format;
    h.l1_entries = static_cast<u32>(std::min<u64>(h.l1_needed(o.bytes), ~u32{0}));
    return h;
}

}  // namespace

std::string check(const CreateOptions& o) {
    if (o.version != 2 && o.version != 3) return "there are versions 2 and 3 of qcow2 only";
    if (o.cluster_bits < kMinClusterBits || o.cluster_bits > kMaxClusterBits)
        return "the cluster size must be a power of two from 512 bytes to 2 MiB";
    if (o.refcount_order > kMaxRefcountOrder)
        return "the width of reference counts must be a power of two from 1 to 64 bits";
    if (o.version == 2 && o.refcount_order != 4) return "version 2 has reference counts of 16 bits only";
    if (o.version == 2 && o.lazy_refcounts) return "lazy reference counts need version 3";
    if (o.version == 2 && o.compression != Compression::kZlib) return "version 2 knows zlib only";
    if (o.bytes % 512) return "the size must be a multiple of 512 bytes";
    Header h = plan(o);
    if (o.bytes > kMaxOffset || h.l1_needed(o.bytes) > kMaxL1Bytes / 8)
        return "with clusters of " + std::to_string(h.cluster_bytes()) + " bytes the disk can have " +
               std::to_string((kMaxL1Bytes / 8) * h.bytes_per_l2()) + " bytes at most";
    if (o.backing_file.size() > kMaxBackingName) return "the name of the backing file is too long";
    if (o.backing_format.size() > 15) return "the format of the backing file is no name";
    if (h.serialize().empty()) return "header and name of the backing file do not fit into one cluster";
    return {};
}

// Header, reference count table, blocks, L1 table.
int create(Storage& storage, const CreateOptions& options) {
    Header h = plan(options);
    const u64 cluster = h.cluster_bytes(), per_block = u64{1} << (h.cluster_bits + 3 - h.refcount_order);
    const u64 l1 = std::max<u64>(1, divide_up(u64{h.l1_entries} * 8, cluster));
    u64 blocks = 1, table = 1;
    for (;;) {
        const u64 wanted_blocks = divide_up(1 + table + blocks + l1, per_block);
        const u64 wanted_table = divide_up(wanted_blocks * 8, cluster);
        if (wanted_blocks <= blocks && wanted_table <= table) break;
        blocks = std::max(blocks, wanted_blocks);
        table = std::max(table, wanted_table);
    }
    const u64 used = 1 + table + blocks + l1;
    h.refcount_table_offset = cluster;
    h.refcount_table_clusters = static_cast<u32>(table);
    h.l1_offset = (1 + table + blocks) * cluster;

    // The rest of each cluster is left as a hole.
    if (const int error = storage.truncate(used * cluster)) return error;
    std::vector<u8> raw(blocks * 8);
    for (u64 i = 0; i < blocks; ++i) put64(&raw[i * 8], (1 + table + i) * cluster);
    if (const int error = storage.write(cluster, raw)) return error;
    raw.assign(divide_up(used << h.refcount_order, 8 * 8) * 8, 0);
    for (u64 c = 0; c < used; ++c) put_count(raw.data(), c, h.refcount_order, 1);
    if (const int error = storage.write((1 + table) * cluster, raw)) return error;
    if (const int error = storage.flush()) return error;
    if (const int error = storage.write(0, h.serialize())) return error;
    return storage.flush();
}

int preallocate(Storage& storage) {
    Volume volume(storage, {});
    if (!volume.open().empty()) return EIO;
    if (const int error = volume.preallocate(0, volume.bytes())) return error;
    return volume.close();
}

}  // namespace backplane::image::qcow2
