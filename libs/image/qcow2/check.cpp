#include "image/qcow2/check.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>

#include "image/error.hpp"

namespace backplane::image::qcow2 {

namespace {
std::string at(u64 offset) { return " at " + std::to_string(offset); }
}  // namespace

void Checker::say(const std::string& text) {
    if (result_.messages.size() < kMostMessages) result_.messages.push_back(text);
}
void Checker::corruption(const std::string& text) {
    ++result_.corruptions;
    say(text);
}
void Checker::leak(const std::string& text) {
    ++result_.leaks;
    say(text);
}

u32 Checker::references(u64 cluster) const {
    const auto chunk = chunks_.find(cluster / kChunk);
    return chunk == chunks_.end() ? 0 : chunk->second[cluster % kChunk];
}

int Checker::refer(u64 cluster, const std::string& what, bool alone) {
    if (cluster >= file_clusters_) {
        corruption(what + at(cluster << header_.cluster_bits) + " lies behind the end of the file");
        return 0;
    }
    auto& chunk = chunks_[cluster / kChunk];
    if (!chunk) {
        if (chunks_.size() > kMostChunks) return EFBIG;
        chunk = std::make_unique<u32[]>(kChunk);
    }
    u32& n = chunk[cluster % kChunk];
    if (n < ~u32{0}) ++n;
    if (alone) alone_.push_back(cluster);
    result_.end = std::max(result_.end, (cluster + 1) << header_.cluster_bits);
    return 0;
}

int Checker::refer_bytes(u64 offset, u64 bytes, const std::string& what) {
    for (u64 c = offset >> header_.cluster_bits; c << header_.cluster_bits < offset + bytes; ++c)
        if (const int error = refer(c, what, true)) return error;
    return 0;
}

int Checker::scan() {
    result_.corruptions = result_.leaks = 0;
    result_.allocated = result_.compressed = result_.fragmented = result_.end = last_host_ = 0;
    result_.clusters = divide_up(header_.bytes, header_.cluster_bytes());
    chunks_.clear();
    alone_.clear();
    leaks_.clear();
    bad_l1_.clear();
    bad_entries_.clear();
    counts_broken_ = false;
    low_counts_ = flags_ = 0;
    file_clusters_ = divide_up(volume_.storage_.size(), header_.cluster_bytes());

    int error = refer(0, "the header", true);
    if (!error) error = scan_l1(header_.l1_offset, header_.l1_entries, "", true);
    for (std::size_t i = 0; !error && i < volume_.snapshots_.size(); ++i) {
        const Snapshot& s = volume_.snapshots_[i];
        error = scan_l1(s.l1_offset, s.l1_entries, "snapshot " + s.id + ": ", false);
    }
    if (!error) error = refer_bytes(header_.snapshots_offset, volume_.snapshot_table_bytes_, "the snapshot table");
    if (!error) error = scan_bitmaps();
    if (!error) error = scan_counts();
    if (!error) error = compare();
    if (!error) error = compare_flags();
    return error;
}

int Checker::scan_l1(u64 offset, u64 entries, const std::string& who, bool active) {
    if (const int error = refer_bytes(offset, std::max<u64>(1, entries * 8), who + "the L1 table")) return error;
    std::vector<u8> raw(entries * 8);
    if (const int error = read_padded(volume_.storage_, offset, raw)) return error;
    for (u64 i = 0; i < entries; ++i) {
        if (active && progress_ && !progress_(i, entries)) return ECANCELED;
        const u64 entry = be64(&raw[i * 8]);
        const u64 table = entry & kOffsetMask;
        const std::string name = who + "entry " + std::to_string(i) + " of the L1 table";
        if (entry & kL1Reserved) corruption(name + " has bits that must be zero");
        if (table == 0) continue;
        if (table & (header_.cluster_bytes() - 1) || table >= volume_.storage_.size()) {
            corruption(name + " points to" + at(table).substr(3) + ", where no table can be");
            if (active) bad_l1_.push_back(i);
            continue;
        }
        if (const int error = refer(table >> header_.cluster_bits, who + "an L2 table")) return error;
        if (const int error = scan_l2(table, i, who, active)) return error;
    }
    return 0;
}

int Checker::scan_l2(u64 offset, u64 l1_index, const std::string& who, bool active) {
    TablePtr table;
    if (const int error = volume_.l2_->get(offset, table)) return error;
    for (u64 i = 0; i < table->entries(); ++i) {
        const u64 entry = table->get(i);
        if (entry == 0) continue;
        const u64 bad = result_.corruptions;
        const u64 guest = l1_index * header_.bytes_per_l2() + (i << header_.cluster_bits);
        if (const int error = scan_entry(entry, guest, who, active)) return error;
        if (result_.corruptions != bad) bad_entries_.push_back({offset, i});
    }
    return 0;
}

int Checker::scan_entry(u64 entry, u64 guest, const std::string& who, bool active) {
    const std::string name = who + "the disk's cluster" + at(guest);
    if (entry & kCompressed) {
        const u64 from = volume_.compressed_offset(entry), bytes = volume_.compressed_bytes(entry);
        if (entry & kCopied) corruption(name + " is compressed and says that it may be written in place");
        if (active) ++result_.allocated, ++result_.compressed, ++result_.fragmented;
        for (u64 c = from >> header_.cluster_bits; c <= (from + bytes - 1) >> header_.cluster_bits; ++c)
            if (const int error = refer(c, name + ", compressed,")) return error;
        return 0;
    }
    const u64 place = entry & kOffsetMask;
    if (active && (place || (entry & kZero))) {
        if (volume_.kind(entry) == Kind::kData) {
            ++result_.allocated;
            if (last_host_ && place != last_host_ + header_.cluster_bytes()) ++result_.fragmented;
            last_host_ = place;
        }
    }
    if (place == 0) return 0;
    if (place & (header_.cluster_bytes() - 1)) {
        corruption(name + " is said to be" + at(place) + ", where no cluster begins");
        return 0;
    }
    return refer(place >> header_.cluster_bits, name);
}

// Persistent dirty bitmaps of other programs count as long as the header says that they are up to date.
int Checker::scan_bitmaps() {
    static constexpr u64 kMostBitmaps = 65535, kMostBytes = 64 << 20, kFixed = 24;
    const auto found = std::find_if(header_.extensions.begin(), header_.extensions.end(),
                                    [](const Extension& e) { return e.type == kExtBitmaps; });
    if (found == header_.extensions.end() || !(header_.autoclear & kBitmapsValid)) return 0;
    if (found->data.size() < kFixed) {
        corruption("the list of bitmaps in the header is too short");
        return 0;
    }
    const u64 count = be32(&found->data[0]), bytes = be64(&found->data[8]), offset = be64(&found->data[16]);
    if (count > kMostBitmaps || bytes > kMostBytes || offset > kMaxOffset || offset & (header_.cluster_bytes() - 1)) {
        corruption("the list of bitmaps in the header cannot be");
        return 0;
    }
    if (const int error = refer_bytes(offset, bytes, "the directory of bitmaps")) return error;
    std::vector<u8> raw(bytes);
    if (const int error = read_padded(volume_.storage_, offset, raw)) return error;
    for (u64 p = 0; p + kFixed <= bytes;) {
        const u64 table = be64(&raw[p]), entries = be32(&raw[p + 8]);
        const u64 name = be16(&raw[p + 18]), extra = be32(&raw[p + 20]);
        if (entries * 8 > kMostBytes || table > kMaxOffset || table & (header_.cluster_bytes() - 1)) {
            corruption("the table of a bitmap" + at(table) + " cannot be");
            return 0;
        }
        if (const int error = refer_bytes(table, entries * 8, "the table of a bitmap")) return error;
        std::vector<u8> list(entries * 8);
        if (const int error = read_padded(volume_.storage_, table, list)) return error;
        for (u64 i = 0; i < entries; ++i)
            if (const u64 place = be64(&list[i * 8]) & kOffsetMask)
                if (const int error = refer(place >> header_.cluster_bits, "a bitmap")) return error;
        p += round_up(kFixed + extra + name, 8);
    }
    return 0;
}

int Checker::scan_counts() {
    if (const int error =
            refer_bytes(header_.refcount_table_offset, u64{header_.refcount_table_clusters} << header_.cluster_bits,
                        "the reference count table"))
        return error;
    const auto& table = volume_.refcounts_->table();
    std::set<u64> seen;
    for (std::size_t i = 0; i < table.size(); ++i) {
        const u64 offset = table[i];
        if (offset == 0) continue;
        const std::string name = "entry " + std::to_string(i) + " of the reference count table";
        if (offset & (header_.cluster_bytes() - 1) || offset >= volume_.storage_.size()) {
            corruption(name + " points to" + at(offset).substr(3) + ", where no block can be");
            counts_broken_ = true;
            continue;
        }
        if (!seen.insert(offset).second || references(offset >> header_.cluster_bits)) {
            corruption(name + " points to" + at(offset).substr(3) + ", where something else is");
            counts_broken_ = true;
        }
        if (const int error = refer(offset >> header_.cluster_bits, "a block of reference counts", true)) return error;
    }
    return 0;
}

int Checker::compare() {
    std::sort(alone_.begin(), alone_.end());
    for (std::size_t i = 0; i < alone_.size(); ++i) {
        if (i && alone_[i] == alone_[i - 1]) continue;
        if (references(alone_[i]) > 1) {
            corruption("the cluster" + at(alone_[i] << header_.cluster_bits) +
                       " holds metadata, and something else is said to be there too");
        }
    }
    const auto& table = volume_.refcounts_->table();
    const u64 per_block = volume_.refcounts_->entries_per_block();
    const u64 blocks = std::max<u64>(table.size(), divide_up(file_clusters_, per_block));
    // Ranges without a block have counts of zero; only those that something refers to matter.
    std::set<u64> without;
    for (const auto& [chunk, counts] : chunks_)
        for (u64 c = chunk * kChunk; c < (chunk + 1) * kChunk; ++c)
            if (counts[c % kChunk] && (c / per_block >= table.size() || table[c / per_block] == 0)) without.insert(c);
    for (const u64 c : without)
        if (const int error = compare_cluster(c, 0)) return error;
    for (u64 i = 0; i < std::min<u64>(blocks, table.size()); ++i) {
        const u64 offset = table[i];
        if (offset == 0) continue;
        if (offset & (header_.cluster_bytes() - 1) || offset >= volume_.storage_.size()) {
            for (u64 c = i * per_block; c < std::min((i + 1) * per_block, file_clusters_); ++c)
                if (const int error = compare_cluster(c, 0)) return error;
            continue;
        }
        std::vector<u8> block(header_.cluster_bytes());
        if (const int error = read_padded(volume_.storage_, offset, block)) return error;
        for (u64 n = 0; n < per_block; ++n)
            if (const int error =
                    compare_cluster(i * per_block + n, get_count(block.data(), n, header_.refcount_order)))
                return error;
    }
    return 0;
}

int Checker::compare_cluster(u64 cluster, u64 count) {
    const u64 wanted = references(cluster);
    if (count == wanted) return 0;
    const std::string text = "the cluster" + at(cluster << header_.cluster_bits) + " has a reference count of " +
                             std::to_string(count) + ", and " + std::to_string(wanted) + " refer to it";
    if (count < wanted) {
        corruption(text);
        ++low_counts_;
        return 0;
    }
    leak(text);
    leaks_.push_back({cluster, count, wanted});
    return 0;
}

int Checker::compare_flags() {
    const auto wrong = [&](u64 entry, u64 cluster, bool& out) {
        u64 count = 0;
        if (const int error = volume_.refcounts_->count(cluster, count)) return error;
        out = (count == 1) != ((entry & kCopied) != 0);
        return 0;
    };
    if (counts_broken_) return 0;  // the flags will be looked at when there are counts
    for (u64 i = 0; i < volume_.l1_.size(); ++i) {
        const u64 entry = volume_.l1_[i], offset = entry & kOffsetMask;
        if (offset == 0 || offset & (header_.cluster_bytes() - 1) || offset >= volume_.storage_.size()) continue;
        bool bad = false;
        if (const int error = wrong(entry, offset >> header_.cluster_bits, bad)) return error;
        if (bad) {
            ++flags_;
            corruption("entry " + std::to_string(i) + " of the L1 table: the flag \"in place\" does not fit the count");
        }
        TablePtr table;
        if (const int error = volume_.l2_->get(offset, table)) return error;
        for (u64 e = 0; e < table->entries(); ++e) {
            const u64 data = table->get(e), place = data & kOffsetMask;
            if ((data & kCompressed) || place == 0 || place & (header_.cluster_bytes() - 1)) continue;
            if (const int error = wrong(data, place >> header_.cluster_bits, bad)) return error;
            if (!bad) continue;
            ++flags_;
            corruption("the disk's cluster" + at(i * header_.bytes_per_l2() + (e << header_.cluster_bits)) +
                       ": the flag \"in place\" does not fit the count");
        }
    }
    return 0;
}

CheckResult check(Storage& storage, Repair repair, const std::function<bool(u64, u64)>& progress) {
    Volume::Options options;
    options.read_only = false;
    options.examine = true;
    Volume volume(storage, options);
    if (const std::string error = volume.open(); !error.empty()) throw Error(Fault::kInvalid, storage.path(), error);
    Checker checker(volume, progress);
    const auto done = [&](int error) {
        if (error)
            throw Error(Fault::kIo, storage.path(),
                        std::string("the check could not be finished: ") + std::strerror(error), error);
    };
    done(checker.scan());
    if (repair == Repair::kLeaks) done(checker.repair_leaks());
    if (repair == Repair::kAll) done(checker.repair_all());
    return checker.result();
}

}  // namespace backplane::image::qcow2
