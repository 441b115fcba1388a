// Putting a file right after a check.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "image/qcow2/check.hpp"

namespace backplane::image::qcow2 {

// Counts that are too high are lowered in place.
int Checker::repair_leaks() {
    if (leaks_.empty() || counts_broken_) return 0;
    for (const Wrong& w : leaks_)
        if (const int error = volume_.refcounts_->force(w.cluster, w.references)) return error;
    int error = volume_.refcounts_->write();
    if (!error) error = volume_.storage_.flush();
    if (error) return error;
    result_.leaks_fixed += leaks_.size();
    result_.leaks -= leaks_.size();
    leaks_.clear();
    // The flags go by the counts: where they fitted counts that were too high, they do not any more.
    return result_.corruptions == flags_ ? fix_flags() : 0;
}

int Checker::repair_all() {
    const u64 corruptions = result_.corruptions, leaks = result_.leaks;
    if (corruptions == 0) {
        if (const int error = repair_leaks()) return error;
    } else {
        if (const int error = cut_bad_entries()) return error;
        if (counts_broken_ || low_counts_ || !bad_l1_.empty() || !bad_entries_.empty()) {
            if (const int error = scan()) return error;  // what was cut refers to nothing any more
            if (const int error = rebuild()) return error;
        } else if (const int error = repair_leaks()) {
            return error;
        }
        if (const int error = fix_flags()) return error;
        const std::vector<std::string> messages = std::move(result_.messages);
        result_.messages.clear();
        if (const int error = scan()) return error;
        const std::vector<std::string> left = std::move(result_.messages);
        result_.messages = messages;
        for (const std::string& text : left) say("still: " + text);
        result_.corruptions_fixed = corruptions - std::min(corruptions, result_.corruptions);
        result_.leaks_fixed = leaks - std::min(leaks, result_.leaks);
    }
    if (result_.corruptions) return 0;
    if (!(header_.incompatible & (kDirty | kCorrupt))) return 0;
    header_.incompatible &= ~(kDirty | kCorrupt);
    volume_.trouble_.clear();
    int error = volume_.write_header();
    if (!error) error = volume_.storage_.flush();
    return error;
}

// Entries that point where nothing can be: what they stood for is lost, and reads as zeros.
int Checker::cut_bad_entries() {
    for (const u64 i : bad_l1_) {
        volume_.set_l1(i, 0);
        say("entry " + std::to_string(i) + " of the L1 table is cut: what it stood for is not allocated any more");
    }
    for (const auto& [offset, index] : bad_entries_) {
        TablePtr table;
        if (const int error = volume_.l2_->get(offset, table)) return error;
        const u64 entry = table->get(index);
        if ((entry & kCompressed) && (entry & kCopied) &&
            volume_.compressed_offset(entry) + volume_.compressed_bytes(entry) <= volume_.storage_.size()) {
            volume_.l2_->set(*table, index, entry & ~kCopied);
            continue;
        }
        volume_.l2_->set(*table, index, header_.version >= 3 ? kZero : 0);
        say("entry " + std::to_string(index) + " of the L2 table at " + std::to_string(offset) +
            " is cut: its cluster reads as zeros now");
    }
    if (const int error = volume_.l2_->write_dirty()) return error;
    if (const int error = volume_.write_l1()) return error;
    return volume_.storage_.flush();
}

// New counts, from what was found, in new blocks behind everything; the header is switched over at the end.
int Checker::rebuild() {
    const u64 cluster = header_.cluster_bytes(), per_block = volume_.refcounts_->entries_per_block();
    const u64 most = volume_.refcounts_->most();
    // Old tables and blocks are free then; they are overwritten by nothing before the header is switched.
    const auto unrefer = [this](u64 c) {
        const auto chunk = chunks_.find(c / kChunk);
        if (chunk != chunks_.end() && chunk->second[c % kChunk]) --chunk->second[c % kChunk];
    };
    const u64 old_offset = header_.refcount_table_offset;
    for (u64 c = 0; c < header_.refcount_table_clusters; ++c) unrefer((old_offset >> header_.cluster_bits) + c);
    for (const u64 offset : volume_.refcounts_->table())
        if (offset && !(offset & (cluster - 1)) && offset < volume_.storage_.size())
            unrefer(offset >> header_.cluster_bits);

    const u64 first = file_clusters_;
    std::vector<u64> used;  // indices of blocks, those of old clusters first
    for (const auto& [chunk, counts] : chunks_)
        for (u64 c = chunk * kChunk; c < (chunk + 1) * kChunk; ++c)
            if (counts[c % kChunk] && (used.empty() || used.back() != c / per_block)) used.push_back(c / per_block);
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    const std::vector<u64> old = used;
    u64 table_clusters = 0;
    for (;;) {
        const u64 before_blocks = used.size(), before_table = table_clusters;
        const u64 end = first + table_clusters + used.size();
        used = old;
        for (u64 i = first / per_block; i <= (end - 1) / per_block && end > first; ++i) used.push_back(i);
        std::sort(used.begin(), used.end());
        used.erase(std::unique(used.begin(), used.end()), used.end());
        table_clusters = used.empty() ? 1 : divide_up((used.back() + 1) * 8, cluster);
        if (used.size() == before_blocks && table_clusters == before_table) break;
    }
    if (table_clusters * cluster > kMaxRefcountTableBytes) return EFBIG;

    const u64 end = first + table_clusters + used.size();
    std::vector<u8> table(table_clusters * cluster), block(cluster);
    for (u64 n = 0; n < used.size(); ++n) {
        std::fill(block.begin(), block.end(), u8{0});
        for (u64 c = used[n] * per_block; c < (used[n] + 1) * per_block; ++c) {
            const u64 count = c >= first && c < end ? 1 : references(c);
            if (count > most) return ERANGE;
            put_count(block.data(), c % per_block, header_.refcount_order, count);
        }
        const u64 offset = (first + table_clusters + n) * cluster;
        put64(&table[used[n] * 8], offset);
        if (const int error = volume_.storage_.write(offset, block)) return error;
    }
    int error = volume_.storage_.write(first * cluster, table);
    if (!error) error = volume_.storage_.flush();
    if (error) return error;
    const Header before = header_;
    header_.refcount_table_offset = first * cluster;
    header_.refcount_table_clusters = static_cast<u32>(table_clusters);
    error = volume_.write_header();
    if (!error) error = volume_.storage_.flush();
    if (error) {
        header_ = before;
        return error;
    }
    volume_.trouble_.clear();
    return volume_.load_counts();
}

int Checker::fix_flags() {
    volume_.trouble_.clear();
    const u64 flags = flags_;
    if (const int error = volume_.set_copied_flags()) return error;
    flags_ = 0;
    result_.corruptions -= std::min(result_.corruptions, flags);
    result_.corruptions_fixed += flags;
    return 0;
}

// A file that was not closed: with lazy reference counts, the counts are made anew.
std::string Volume::recover() {
    Checker checker(*this, {});
    int error = checker.scan();
    if (!error && !checker.cuts()) error = checker.repair_all();
    if (error)
        return std::string("the image was not closed, and its reference counts cannot be made anew: ") +
               std::strerror(error);
    if (checker.result().corruptions)
        return "the image was not closed and is damaged: " + checker.result().messages.front() +
               "; `backplane disk check` tells more";
    if (options_.warn)
        options_.warn("the image was not closed the last time; its reference counts have been made anew");
    return {};
}

}  // namespace backplane::image::qcow2
