#include "image/qcow2/refcounts.hpp"

#include <algorithm>

namespace backplane::image::qcow2 {

namespace {
constexpr std::size_t kCacheBytes = 4 << 20;
constexpr std::size_t kLeastBlocks = 16;
constexpr u64 kSector = 512;
}  // namespace

u64 get_count(const u8* block, u64 index, unsigned order) {
    switch (order) {
        case 0: return block[index / 8] >> (index % 8) & 1u;
        case 1: return block[index / 4] >> (index % 4 * 2) & 3u;
        case 2: return block[index / 2] >> (index % 2 * 4) & 15u;
        case 3: return block[index];
        case 4: return be16(block + index * 2);
        case 5: return be32(block + index * 4);
        default: return be64(block + index * 8);
    }
}

void put_count(u8* block, u64 index, unsigned order, u64 value) {
    const auto bits = [&](u64 byte, unsigned shift, unsigned mask) {
        block[byte] = static_cast<u8>((block[byte] & ~(mask << shift)) | (value & mask) << shift);
    };
    switch (order) {
        case 0: bits(index / 8, index % 8, 1); break;
        case 1: bits(index / 4, index % 4 * 2, 3); break;
        case 2: bits(index / 2, index % 2 * 4, 15); break;
        case 3: block[index] = static_cast<u8>(value); break;
        case 4: put16(block + index * 2, static_cast<u16>(value)); break;
        case 5: put32(block + index * 4, static_cast<u32>(value)); break;
        default: put64(block + index * 8, value); break;
    }
}

Refcounts::Refcounts(Storage& storage, Header& header, Callbacks callbacks)
    : storage_(storage),
      header_(header),
      callbacks_(std::move(callbacks)),
      order_(header.refcount_order),
      block_bits_(header.cluster_bits + 3 - header.refcount_order),
      most_(order_ == 6 ? ~u64{0} : (u64{1} << (1u << order_)) - 1),
      blocks_(storage, header.cluster_bytes(), std::max(kLeastBlocks, kCacheBytes >> header.cluster_bits)) {}

int Refcounts::load() {
    clear();
    const u64 bytes = u64{header_.refcount_table_clusters} << header_.cluster_bits;
    std::vector<u8> raw(bytes);
    if (const int error = read_padded(storage_, header_.refcount_table_offset, raw)) return error;
    table_.resize(bytes / 8);
    for (std::size_t i = 0; i < table_.size(); ++i) table_[i] = be64(&raw[i * 8]) & ~u64{kSector - 1};
    untouched_ = divide_up(storage_.size(), header_.cluster_bytes());
    protect(0);
    protect(header_.refcount_table_offset, bytes);
    for (const u64 offset : table_)
        if (offset) protect(offset >> header_.cluster_bits);
    return 0;
}

void Refcounts::clear() {
    table_.clear();
    table_dirty_from_ = table_dirty_to_ = 0;
    blocks_.clear();
    search_from_ = 0;
    waiting_.clear();
    ready_.clear();
    metadata_.clear();
    switching_ = false;
    before_.clear();
    reserve_.clear();
    freed_.clear();
}

void Refcounts::protect(u64 offset, u64 bytes) {
    for (u64 c = offset >> header_.cluster_bits; c << header_.cluster_bits < offset + bytes; ++c) metadata_.insert(c);
}

void Refcounts::unprotect(u64 offset, u64 bytes) {
    for (u64 c = offset >> header_.cluster_bits; c << header_.cluster_bits < offset + bytes; ++c) metadata_.erase(c);
}

bool Refcounts::is_metadata(u64 first, u64 clusters) const {
    for (u64 c = first; c < first + clusters; ++c)
        if (metadata_.contains(c)) return true;
    return false;
}

int Refcounts::block(u64 index, TablePtr& out) {
    const u64 offset = table_[index];
    if (offset % header_.cluster_bytes() || offset >= kMaxOffset) {
        callbacks_.corrupt("entry " + std::to_string(index) + " of the reference count table, " +
                           std::to_string(offset) + ", is no cluster");
        return EIO;
    }
    // Blocks may be written at any time; with as many changed ones as the cache has room for, they are.
    if (!switching_ && blocks_.dirty() >= blocks_.capacity())
        if (const int error = blocks_.write_dirty()) return error;
    return blocks_.get(offset, out);
}

int Refcounts::count(u64 cluster, u64& out) {
    const u64 index = cluster >> block_bits_;
    out = 0;
    if (index >= table_.size() || table_[index] == 0) return 0;
    TablePtr b;
    if (const int error = block(index, b)) return error;
    out = get_count(b->data.data(), cluster & (entries_per_block() - 1), order_);
    return 0;
}

int Refcounts::is_free(u64 cluster, bool& out) {
    u64 n = 0;
    if (const int error = count(cluster, n)) return error;
    out = n == 0 && !freed_.contains(cluster);
    return 0;
}

void Refcounts::set_entry(u64 index, u64 offset) {
    table_[index] = offset;
    if (table_dirty_from_ == table_dirty_to_) {
        table_dirty_from_ = index;
        table_dirty_to_ = index + 1;
    } else {
        table_dirty_from_ = std::min(table_dirty_from_, index);
        table_dirty_to_ = std::max(table_dirty_to_, index + 1);
    }
}

// Sets a count in a block that exists.
int Refcounts::set(u64 cluster, u64 value) {
    TablePtr b;
    if (const int error = block(cluster >> block_bits_, b)) return error;
    const u64 index = cluster & (entries_per_block() - 1);
    put_count(b->data.data(), index, order_, value);
    const u64 byte = (index << order_) / 8;
    blocks_.touched(*b, byte, byte + std::max<u64>(1, (u64{1} << order_) / 8));
    return 0;
}

// Sees to it that counts of range `index` have a block. A block is put at the first free cluster; if that lies in a
// range without a block itself, it becomes the block of its own range first.
int Refcounts::make_block(u64 index) {
    if (index >= table_.size())
        if (const int error = grow_table(index + 1)) return error;
    while (table_[index] == 0) {
        u64 cluster = search_from_;
        if (const int error = next_free(cluster)) return error;
        const u64 own = cluster >> block_bits_;
        if (own >= table_.size()) {
            if (const int error = grow_table(own + 1)) return error;
            continue;
        }
        if (is_metadata(cluster, 1)) {
            callbacks_.corrupt("the cluster at " + std::to_string(cluster << header_.cluster_bits) +
                               " holds metadata and has a reference count of 0");
            return EIO;
        }
        const u64 offset = cluster << header_.cluster_bits;
        if (offset >= kMaxOffset) return EFBIG;
        const u64 place = table_[own] == 0 ? own : index;
        const TablePtr b = blocks_.create(offset);
        set_entry(place, offset);
        protect(cluster);
        touched(cluster);
        if (const int error = set(cluster, 1)) return error;
        search_from_ = cluster + 1;
    }
    return 0;
}

// The table is full: a longer one goes behind everything that the old one could count, together with the blocks for the
// two of them, and the header is switched over.
int Refcounts::grow_table(u64 entries) {
    if (switching_) return EFBIG;
    const u64 cluster = header_.cluster_bytes(), per_cluster = cluster / 8;
    if (const int error = write()) return error;
    const u64 first = static_cast<u64>(table_.size()) << block_bits_;
    u64 clusters = 0, blocks = 0, wanted = std::max(entries, table_.size() + table_.size() / 2 + 1);
    for (;;) {  // a few rounds at most: every block counts many clusters
        clusters = divide_up(wanted, per_cluster);
        blocks = divide_up(clusters + blocks, entries_per_block());
        while (divide_up(clusters + blocks, entries_per_block()) > blocks) ++blocks;
        if (table_.size() + blocks <= clusters * per_cluster) break;
        wanted = table_.size() + blocks;
    }
    if (clusters * cluster > kMaxRefcountTableBytes ||
        (first + clusters + blocks) << header_.cluster_bits >= kMaxOffset)
        return EFBIG;

    std::vector<u64> table = table_;
    table.resize(clusters * per_cluster);
    std::vector<u8> data(cluster);
    for (u64 i = 0; i < blocks; ++i) {
        const u64 offset = (first + clusters + i) << header_.cluster_bits;
        table[table_.size() + i] = offset;
        std::fill(data.begin(), data.end(), u8{0});
        const u64 begin = i << block_bits_, used = clusters + blocks;
        for (u64 c = begin; c < std::min(used, begin + entries_per_block()); ++c)
            put_count(data.data(), c - begin, order_, 1);
        blocks_.drop(offset);
        if (const int error = storage_.write(offset, data)) return error;
    }
    std::vector<u8> raw(table.size() * 8);
    for (std::size_t i = 0; i < table.size(); ++i) put64(&raw[i * 8], table[i]);
    if (const int error = storage_.write(first << header_.cluster_bits, raw)) return error;
    if (const int error = storage_.flush()) return error;

    const u64 old_offset = header_.refcount_table_offset;
    const u32 old_clusters = header_.refcount_table_clusters;
    header_.refcount_table_offset = first << header_.cluster_bits;
    header_.refcount_table_clusters = static_cast<u32>(clusters);
    int error = callbacks_.write_header();
    if (!error) error = storage_.flush();
    if (error) {
        header_.refcount_table_offset = old_offset;
        header_.refcount_table_clusters = old_clusters;
        return error;
    }
    table_ = std::move(table);
    touched(first + clusters + blocks - 1);
    protect(first << header_.cluster_bits, (clusters + blocks) << header_.cluster_bits);
    for (u64 c = 0; c < old_clusters; ++c) {
        unprotect((old_offset >> header_.cluster_bits) + c);
        ready_.push_back({(old_offset >> header_.cluster_bits) + c, 0});
    }
    return 0;
}

// The first free cluster at or after `cluster`. Without looking at each alone: the first search in a large image sees
// millions.
int Refcounts::next_free(u64& cluster) {
    for (;;) {
        const u64 index = cluster >> block_bits_;
        if (index >= table_.size() || table_[index] == 0) return 0;
        TablePtr b;
        if (const int error = block(index, b)) return error;
        for (u64 i = cluster & (entries_per_block() - 1); i < entries_per_block(); ++i, ++cluster)
            if (get_count(b->data.data(), i, order_) == 0 && !freed_.contains(cluster)) return 0;
    }
}

int Refcounts::find(u64 want, u64& first, u64& got) {
    u64 cluster = search_from_;
    if (const int error = next_free(cluster)) return error;
    search_from_ = first = cluster;
    got = 1;
    for (bool free = true; got < want; ++got) {
        if (const int error = is_free(cluster + got, free)) return error;
        if (!free) break;
    }
    return 0;
}

int Refcounts::allocate(u64 want, u64& first, u64& got) {
    for (;;) {
        if (const int error = find(want, first, got)) return error;
        // Making a block may take the very clusters that were found.
        const u64 index = first >> block_bits_;
        const bool missing = index >= table_.size() || table_[index] == 0;
        if (!missing) {
            got = std::min(got, entries_per_block() - (first & (entries_per_block() - 1)));
            return allocate_at(first, got, got);
        }
        if (const int error = make_block(index)) return error;
    }
}

int Refcounts::allocate_all(u64 clusters, u64& first) {
    if (clusters == 1) {
        u64 got = 0;
        return allocate(1, first, got);
    }
    u64 from = search_from_;
    for (;;) {
        u64 n = 0;
        for (bool free = false; n < clusters; ++n) {
            if (const int error = is_free(from + n, free)) return error;
            if (!free) break;
        }
        if (n < clusters) {
            from += n + 1;
            continue;
        }
        bool made = false;
        for (u64 i = from >> block_bits_; i <= (from + clusters - 1) >> block_bits_; ++i)
            if (i >= table_.size() || table_[i] == 0) {
                if (const int error = make_block(i)) return error;
                made = true;
            }
        if (!made) break;
    }
    first = from;
    u64 got = 0;
    return allocate_at(from, clusters, got);
}

int Refcounts::allocate_at(u64 first, u64 want, u64& got) {
    got = 0;
    if ((first + want) << header_.cluster_bits >= kMaxOffset) return EFBIG;
    if (is_metadata(first, want)) {
        callbacks_.corrupt("metadata at " + std::to_string(first << header_.cluster_bits) + " (" +
                           std::to_string(want) + " clusters) has a reference count of 0");
        return EIO;
    }
    while (got < want) {
        const u64 cluster = first + got, index = cluster >> block_bits_;
        bool free = false;
        if (const int error = is_free(cluster, free)) return error;
        if (!free) break;
        if (index >= table_.size() || table_[index] == 0) {
            if (const int error = make_block(index)) return error;
            continue;  // it may have gone to this very cluster
        }
        if (const int error = set(cluster, 1)) {
            cancel(first, got);
            return error;
        }
        ++got;
    }
    if (got) touched(first + got - 1);
    if (first == search_from_) search_from_ += got;
    return 0;
}

int Refcounts::change(u64 cluster, bool more) {
    u64 n = 0;
    if (const int error = count(cluster, n)) return error;
    if (more ? n == most_ : n == 0) return ERANGE;
    if (more && n == 0) {  // only in a damaged file: something refers to a cluster that counts as free
        callbacks_.corrupt("the cluster at " + std::to_string(cluster << header_.cluster_bits) +
                           " is in use and has a reference count of 0");
        return EIO;
    }
    return set(cluster, more ? n + 1 : n - 1);
}

int Refcounts::add(u64 cluster) { return change(cluster, true); }

void Refcounts::cancel(u64 first, u64 clusters) {
    // What cannot be taken back is lost space, no more.
    for (u64 c = first; c < first + clusters; ++c) static_cast<void>(change(c, false));
    search_from_ = std::min(search_from_, first);
}

void Refcounts::release(u64 cluster, u64 now) { waiting_.push_back({cluster, now}); }

int Refcounts::apply(u64 oldest) {
    std::vector<Release> kept;
    int result = 0;
    u64 run = 0, length = 0;
    const auto give = [&](u64 cluster) {
        if (length && cluster == run + length) {
            ++length;
            return;
        }
        if (length) callbacks_.unused(run, length);
        run = cluster;
        length = 1;
    };
    std::vector<Release> ready;
    ready.swap(ready_);
    std::sort(ready.begin(), ready.end(), [](const Release& a, const Release& b) { return a.cluster < b.cluster; });
    for (const Release& r : ready) {
        if (r.time > oldest || result) {
            kept.push_back(r);
            continue;
        }
        u64 n = 0;
        int error = count(r.cluster, n);
        if (!error && n == 0) {
            callbacks_.corrupt("the cluster at " + std::to_string(r.cluster << header_.cluster_bits) +
                               " was in use and has a reference count of 0");
            continue;
        }
        if (!error) error = set(r.cluster, n - 1);
        if (error) {
            result = error;
            kept.push_back(r);
            continue;
        }
        if (n == 1) {
            search_from_ = std::min(search_from_, r.cluster);
            blocks_.drop(r.cluster << header_.cluster_bits);
            give(r.cluster);
        }
    }
    if (length) callbacks_.unused(run, length);
    ready_.insert(ready_.end(), kept.begin(), kept.end());
    return result;
}

int Refcounts::write() {
    if (const int error = blocks_.write_dirty()) return error;
    if (table_dirty_from_ == table_dirty_to_) return 0;
    if (const int error = storage_.flush()) return error;
    const u64 from = table_dirty_from_ / 64 * 64, to = std::min<u64>(round_up(table_dirty_to_, 64), table_.size());
    std::vector<u8> raw((to - from) * 8);
    for (u64 i = from; i < to; ++i) put64(&raw[(i - from) * 8], table_[i]);
    if (const int error = storage_.write(header_.refcount_table_offset + from * 8, raw)) return error;
    table_dirty_from_ = table_dirty_to_ = 0;
    return 0;
}

int Refcounts::end(u64& cluster) {
    for (u64 index = table_.size(); index-- > 0;) {
        if (table_[index] == 0) continue;
        TablePtr b;
        if (const int error = block(index, b)) return error;
        for (u64 i = entries_per_block(); i-- > 0;)
            if (get_count(b->data.data(), i, order_)) {
                cluster = (index << block_bits_) + i + 1;
                return 0;
            }
    }
    cluster = 0;
    return 0;
}

}  // namespace backplane::image::qcow2
