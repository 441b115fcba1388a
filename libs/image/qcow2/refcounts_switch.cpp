// Reference counts that change all at once: the new ones go to other clusters than the old ones, and count from the
// moment on at which the header points to their table.
#include <algorithm>
#include <cerrno>

#include "image/qcow2/refcounts.hpp"

namespace backplane::image::qcow2 {

// Counts and file agree, and the table is long enough for everything that may be allocated until the switch: it cannot
// grow meanwhile.
int Refcounts::begin_switch(u64 clusters) {
    u64 wanted = 0;
    for (;;) {
        wanted = header_.refcount_table_clusters + clusters;
        for (const u64 offset : table_) wanted += offset != 0;
        u64 last = 0;
        if (const int error = end(last)) return error;
        constexpr u64 kSpare = 4;
        const u64 entries = divide_up(last + wanted, entries_per_block() - 1) + kSpare;
        if (entries <= table_.size()) break;
        if (const int error = grow_table(entries)) return error;
        if (const int error = apply(~u64{0})) return error;
    }
    if (const int error = write()) return error;
    if (const int error = storage_.flush()) return error;

    before_ = table_;
    switching_ = true;
    for (const u64 offset : before_) {
        if (offset == 0) continue;
        u64 cluster = 0;
        if (const int error = allocate_all(1, cluster)) return error;
        reserve_.push_back(cluster);
    }
    return allocate_all(header_.refcount_table_clusters, next_table_);
}

int Refcounts::drop(u64 cluster) {
    u64 n = 0;
    if (const int error = count(cluster, n)) return error;
    if (n == 0) {
        callbacks_.corrupt("the cluster at " + std::to_string(cluster << header_.cluster_bits) +
                           " was in use and has a reference count of 0");
        return EIO;
    }
    if (n == 1) freed_.insert(cluster);
    return set(cluster, n - 1);
}

int Refcounts::prepare_switch(u64& table_offset) {
    for (u64 c = 0; c < header_.refcount_table_clusters; ++c)
        if (const int error = drop((header_.refcount_table_offset >> header_.cluster_bits) + c)) return error;
    // A block that moves frees a cluster, which changes a block.
    for (bool again = true; again;) {
        again = false;
        for (u64 i = 0; i < table_.size(); ++i) {
            if (before_[i] == 0 || table_[i] != before_[i]) continue;
            TablePtr old;
            if (const int error = block(i, old)) return error;
            if (old->dirty_from == old->dirty_to) continue;
            if (reserve_.empty()) return ENOSPC;
            const u64 cluster = reserve_.back();
            reserve_.pop_back();
            static_cast<void>(blocks_.create(cluster << header_.cluster_bits, &old->data));
            blocks_.drop(before_[i]);
            table_[i] = cluster << header_.cluster_bits;
            if (const int error = drop(before_[i] >> header_.cluster_bits)) return error;
            again = true;
        }
    }
    // Their own counts are in blocks that have moved.
    for (const u64 cluster : reserve_)
        if (const int error = change(cluster, false)) return error;
    if (const int error = blocks_.write_dirty()) return error;
    std::vector<u8> raw(table_.size() * 8);
    for (std::size_t i = 0; i < table_.size(); ++i) put64(&raw[i * 8], table_[i]);
    table_offset = next_table_ << header_.cluster_bits;
    return storage_.write(table_offset, raw);
}

void Refcounts::finish_switch() {
    switching_ = false;
    table_dirty_from_ = table_dirty_to_ = 0;
    std::vector<u64> freed(freed_.begin(), freed_.end());
    std::sort(freed.begin(), freed.end());
    for (std::size_t i = 0; i < freed.size();) {
        std::size_t n = 1;
        while (i + n < freed.size() && freed[i + n] == freed[i] + n) ++n;
        for (u64 c = freed[i]; c < freed[i] + n; ++c) blocks_.drop(c << header_.cluster_bits);
        callbacks_.unused(freed[i], n);
        i += n;
    }
    if (!freed.empty()) search_from_ = std::min(search_from_, freed.front());
    if (!reserve_.empty()) search_from_ = std::min(search_from_, *std::min_element(reserve_.begin(), reserve_.end()));
    protect(header_.refcount_table_offset, u64{header_.refcount_table_clusters} << header_.cluster_bits);
    for (const u64 offset : table_)
        if (offset) protect(offset >> header_.cluster_bits);
    freed_.clear();
    reserve_.clear();
    before_.clear();
}

}  // namespace backplane::image::qcow2
