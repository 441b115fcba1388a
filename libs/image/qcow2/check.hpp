// The check of a qcow2 file: what refers to each cluster, compared with what the reference counts say.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "image/qcow2/volume.hpp"

namespace backplane::image::qcow2 {

enum class Repair {
    kNothing,
    kLeaks,  // counts that are too high: space is got back, nothing else changes
    kAll,    // also counts that are too low, flags, and entries that point nowhere
};

struct CheckResult {
    u64 corruptions = 0;  // that are left: something may get lost or was lost
    u64 leaks = 0;        // that are left: clusters that nobody uses
    u64 corruptions_fixed = 0, leaks_fixed = 0;
    u64 clusters = 0, allocated = 0, compressed = 0, fragmented = 0;  // of the disk
    u64 end = 0;                                                      // first byte behind everything in use
    std::vector<std::string> messages;                                // one a finding, the first thousand
    bool clean() const { return corruptions == 0 && leaks == 0; }
};

// Checks a file that nobody else has open; writable storage is needed for a repair. Throws Error if it cannot be opened
// as qcow2 at all, or read. `progress` may be empty.
CheckResult check(Storage& storage, Repair repair, const std::function<bool(u64 done, u64 total)>& progress = {});

// The work itself, on a volume that is opened. Nobody else uses the volume meanwhile.
class Checker {
  public:
    Checker(Volume& volume, std::function<bool(u64, u64)> progress)
        : volume_(volume), header_(volume.header_), progress_(std::move(progress)) {}

    // Counts and compares. Returns errno.
    int scan();
    // What scan() found is put right as far as that is possible.
    int repair_leaks();
    int repair_all();
    CheckResult& result() { return result_; }
    // Entries point where nothing can be: a repair would lose what they stood for.
    bool cuts() const { return !bad_l1_.empty() || !bad_entries_.empty(); }

  private:
    static constexpr u64 kChunk = 512;
    static constexpr std::size_t kMostChunks = 512 * 1024;
    static constexpr std::size_t kMostMessages = 1000;
    using Chunk = std::unique_ptr<u32[]>;

    void corruption(const std::string& text);
    void leak(const std::string& text);
    void say(const std::string& text);
    int refer(u64 cluster, const std::string& what, bool alone = false);
    int refer_bytes(u64 offset, u64 bytes, const std::string& what);
    u32 references(u64 cluster) const;

    int scan_l1(u64 offset, u64 entries, const std::string& who, bool active);
    int scan_l2(u64 offset, u64 l1_index, const std::string& who, bool active);
    int scan_entry(u64 entry, u64 guest, const std::string& who, bool active);
    int scan_bitmaps();
    int scan_counts();
    int compare();
    int compare_cluster(u64 cluster, u64 count);
    int compare_flags();
    int cut_bad_entries();
    int rebuild();
    int fix_flags();

    Volume& volume_;
    Header& header_;
    std::function<bool(u64, u64)> progress_;
    CheckResult result_;
    u64 file_clusters_ = 0;
    std::unordered_map<u64, Chunk> chunks_;
    std::vector<u64> alone_;  // clusters that only one thing may refer to
    struct Wrong {
        u64 cluster, count, references;
    };
    std::vector<Wrong> leaks_;
    std::vector<u64> bad_l1_;                       // indices of the active table
    std::vector<std::pair<u64, u64>> bad_entries_;  // L2 table, index
    bool counts_broken_ = false;                    // blocks or table that cannot be
    u64 low_counts_ = 0, flags_ = 0;
    u64 last_host_ = 0;
};

}  // namespace backplane::image::qcow2
