// Reference counts of a qcow2 file's clusters, and with them the allocation of clusters. Changes stay in memory until
// flush() (or until a block makes room for another one): counts may always reach the file before the tables that refer
// to the clusters, and decrements are only made after the file has lost the reference, so the counts in the file are
// never too low. Not locked: the image's lock covers it.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <unordered_set>

#include "image/qcow2/header.hpp"
#include "image/qcow2/tables.hpp"

namespace backplane::image::qcow2 {

// A count of `bits` = 2^order bits in a block.
u64 get_count(const u8* block, u64 index, unsigned order);
void put_count(u8* block, u64 index, unsigned order, u64 value);

class Refcounts {
  public:
    struct Callbacks {
        std::function<int()> write_header;                    // the table has moved
        std::function<void(const std::string&)> corrupt;      // what is wrong with the file
        std::function<void(u64 first, u64 clusters)> unused;  // the count of these is zero now
    };

    Refcounts(Storage& storage, Header& header, Callbacks callbacks);
    // Reads the table. Returns errno.
    int load();

    int count(u64 cluster, u64& out);
    u64 most() const { return most_; }

    // Finds `want` free clusters in a row, or fewer, at least one, and gives them a count of one. Returns errno.
    int allocate(u64 want, u64& first, u64& got);
    // Exactly `clusters` in a row.
    int allocate_all(u64 clusters, u64& first);
    // As many as are free from `first` on, at most `want`; may be none.
    int allocate_at(u64 first, u64 want, u64& got);
    // One reference more. ERANGE if the counts are not wide enough.
    int add(u64 cluster);
    // For repair: sets a count that has a block.
    int force(u64 cluster, u64 value) { return set(cluster, value); }
    // Takes references back that never reached the file.
    void cancel(u64 first, u64 clusters);
    // One reference fewer, as soon as the file has lost it (see apply()).
    void release(u64 cluster, u64 now);
    // Once the tables in the file no longer have the references: releases made at a time before `oldest`, when every
    // request still under way had not begun.
    void referenced_no_more() {
        ready_.insert(ready_.end(), waiting_.begin(), waiting_.end());
        waiting_.clear();
    }
    int apply(u64 oldest);
    std::size_t releases() const { return waiting_.size() + ready_.size(); }
    bool changed() const { return blocks_.dirty() || table_dirty_from_ < table_dirty_to_; }

    // Writes blocks and table, with the one flush between them that is needed when the table changes.
    int write();

    // A change of everything at once, with no moment at which the file's counts are neither the old ones nor the new
    // ones. Between begin_switch() and finish_switch() (or load(), which forgets it) counts change in memory alone, and
    // nothing that gets free is used anew. `clusters`: how many will be allocated at most.
    int begin_switch(u64 clusters);
    bool switching() const { return switching_; }
    // One reference fewer.
    int drop(u64 cluster);
    // Puts what has changed to its new place. The caller flushes, writes the header with the new table's offset, and
    // flushes again.
    int prepare_switch(u64& table_offset);
    void finish_switch();

    // Clusters that must never be written as data: header, tables, blocks. The image adds its L1 and L2 tables.
    void protect(u64 cluster) { metadata_.insert(cluster); }
    void protect(u64 offset, u64 bytes);
    void unprotect(u64 cluster) { metadata_.erase(cluster); }
    void unprotect(u64 offset, u64 bytes);
    bool is_metadata(u64 first, u64 clusters) const;

    const std::vector<u64>& table() const { return table_; }
    u64 entries_per_block() const { return u64{1} << block_bits_; }
    // For repair: forgets everything and takes a new table (already written).
    void clear();
    // Clusters from here on were never used since the file was opened, and lie behind its end: they read as zeros.
    u64 untouched() const { return untouched_; }
    void touched(u64 cluster) { untouched_ = std::max(untouched_, cluster + 1); }
    // First cluster behind everything with a count.
    int end(u64& cluster);

  private:
    struct Release {
        u64 cluster;
        u64 time;
    };
    int block(u64 index, TablePtr& out);
    int set(u64 cluster, u64 value);
    int change(u64 cluster, bool more);
    int make_block(u64 index);
    int grow_table(u64 entries);
    int is_free(u64 cluster, bool& out);
    int next_free(u64& cluster);
    int find(u64 want, u64& first, u64& got);
    void set_entry(u64 index, u64 offset);

    Storage& storage_;
    Header& header_;
    Callbacks callbacks_;
    unsigned order_;
    unsigned block_bits_;  // log2 of the counts in a block
    u64 most_;
    std::vector<u64> table_;
    u64 table_dirty_from_ = 0, table_dirty_to_ = 0;
    TableCache blocks_;
    u64 untouched_ = 0;
    u64 search_from_ = 0;  // no free cluster lies before
    std::vector<Release> waiting_, ready_;
    std::unordered_set<u64> metadata_;

    bool switching_ = false;
    std::vector<u64> before_;        // the table in the file
    std::vector<u64> reserve_;       // clusters for blocks that move
    u64 next_table_ = 0;             // cluster of the new table
    std::unordered_set<u64> freed_;  // what the file still refers to
};

}  // namespace backplane::image::qcow2
