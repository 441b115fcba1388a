// Another state of the whole image, at once: tables, counts and list of snapshots are written to new places, and the
// header is switched over to them. Whenever the power goes, the file is as it was before or as it is afterwards.
#include <algorithm>
#include <cerrno>

#include "image/qcow2/volume.hpp"

namespace backplane::image::qcow2 {

// `recount` changes the counts to what the plan refers to, and the plan. The volume is quiet and has nothing unwritten.
int Volume::switch_to(Plan plan, const Recount& recount) {
    Header next;
    int error = prepare(plan, recount, next);
    if (!error) error = storage_.flush();
    if (!error) {
        const Header before = header_;
        header_ = next;
        error = write_header();
        if (!error) error = storage_.flush();
        if (error) {
            // Which of the two the file has now is not known.
            header_ = before;
            if (write_header() != 0 || storage_.flush() != 0) {
                trouble_ = "the header could not be written";
                return error;
            }
        }
    }
    if (error) {
        // The file is as it was; what was planned is forgotten. Counts that have not reached the file yet are kept.
        if (!refcounts_->switching()) return error;
        l2_->clear();
        if (trouble_.empty() && load_counts() != 0) trouble_ = "the reference counts could not be read";
        return error;
    }
    l1_ = std::move(plan.l1);
    l1_dirty_from_ = l1_dirty_to_ = 0;
    snapshots_ = std::move(plan.snapshots);
    snapshot_table_bytes_ = pack_snapshots(snapshots_).size();
    refcounts_->finish_switch();
    protect_tables();
    return 0;
}

int Volume::prepare(Plan& plan, const Recount& recount, Header& next) {
    constexpr u64 kSpare = 8;
    const u64 l1_clusters = divide_up(std::max(plan.l1.size(), l1_.size()) * 8, cluster_bytes()) + 1;
    constexpr u64 kMostEntryBytes = 2 * 0x10000 + kMaxSnapshotExtra;  // of one more snapshot: name, id, the rest
    const u64 list = divide_up(snapshot_table_bytes_ + kMostEntryBytes, cluster_bytes());
    // Every table may move, twice if what it says changes twice.
    const u64 tables = 2 * std::max(plan.l1.size(), l1_.size());
    if (const int error = refcounts_->begin_switch(tables + 2 * l1_clusters + list + kSpare)) return error;
    next = header_;
    if (const int error = recount(plan)) return error;
    if (const int error = fit_flags(plan.l1)) return error;

    if (const int error = drop_clusters(header_.l1_offset, u64{header_.l1_entries} * 8)) return error;
    std::vector<u8> raw(plan.l1.size() * 8);
    for (std::size_t i = 0; i < plan.l1.size(); ++i) put64(&raw[i * 8], plan.l1[i]);
    if (const int error = put_clusters(std::move(raw), next.l1_offset)) return error;
    next.l1_entries = static_cast<u32>(plan.l1.size());
    next.bytes = plan.bytes;

    raw = pack_snapshots(plan.snapshots);
    if (raw.size() > kMaxSnapshotTableBytes || plan.snapshots.size() > kMaxSnapshots) return EFBIG;
    if (snapshot_table_bytes_)
        if (const int error = drop_clusters(header_.snapshots_offset, snapshot_table_bytes_)) return error;
    next.snapshots_offset = 0;
    if (!raw.empty())
        if (const int error = put_clusters(std::move(raw), next.snapshots_offset)) return error;
    next.snapshots = static_cast<u32>(plan.snapshots.size());
    return refcounts_->prepare_switch(next.refcount_table_offset);
}

// What lies in clusters of its own at `offset` belongs to nothing any more.
int Volume::drop_clusters(u64 offset, u64 bytes) {
    if (offset == 0) return 0;
    for (u64 c = 0; c < std::max<u64>(1, divide_up(bytes, cluster_bytes())); ++c)
        if (const int error = refcounts_->drop((offset >> bits_) + c)) return error;
    return 0;
}

// Writes data into new clusters.
int Volume::put_clusters(std::vector<u8> data, u64& offset) {
    const u64 clusters = std::max<u64>(1, divide_up(data.size(), cluster_bytes()));
    u64 cluster = 0;
    if (const int error = refcounts_->allocate_all(clusters, cluster)) return error;
    offset = cluster << bits_;
    data.resize(clusters << bits_);
    return storage_.write(offset, data);
}

// Tables whose entries are not as they are wanted move to another place.
int Volume::rewrite_tables(std::vector<u64>& l1, const Wanted& wanted) {
    for (u64& pointer : l1) {
        const u64 offset = pointer & kOffsetMask;
        if (offset == 0) continue;
        if (in_cluster(offset) || offset >= storage_.size()) {
            corrupt("an L1 table points to " + std::to_string(offset) + ", where no table can be");
            return EIO;
        }
        TablePtr table, moved;
        if (const int error = l2_->get(offset, table)) return error;
        for (u64 i = 0; i < table->entries(); ++i) {
            const u64 entry = table->get(i);
            u64 next = entry;
            if (const int error = wanted(entry, next)) return error;
            if (next == entry) continue;
            if (!moved) {
                u64 cluster = 0;
                if (const int error = refcounts_->allocate_all(1, cluster)) return error;
                moved = l2_->create(cluster << bits_, &table->data);
                if (const int error = refcounts_->drop(offset >> bits_)) return error;
                pointer = cluster << bits_ | (pointer & ~kOffsetMask);
            }
            l2_->set(*moved, i, next);
        }
        // Nothing refers to them yet: they may be written at any time.
        if (l2_->dirty() >= l2_->capacity() / 2)
            if (const int error = l2_->write_dirty()) return error;
    }
    return l2_->write_dirty();
}

// "May be written in place" wherever the count is one and nowhere else.
int Volume::fit_flags(std::vector<u64>& l1) {
    const Wanted by_count = [this](u64 entry, u64& wanted) {
        const u64 offset = entry & kOffsetMask;
        if ((entry & kCompressed) || offset == 0) return 0;
        u64 count = 0;
        if (const int error = refcounts_->count(offset >> bits_, count)) return error;
        wanted = count == 1 ? entry | kCopied : entry & ~kCopied;
        return 0;
    };
    if (const int error = rewrite_tables(l1, by_count)) return error;
    for (u64& pointer : l1) {
        u64 wanted = pointer;
        if (const int error = by_count(pointer, wanted)) return error;
        pointer = wanted;
    }
    return 0;
}

}  // namespace backplane::image::qcow2
