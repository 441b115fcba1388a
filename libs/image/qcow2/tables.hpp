// Tables of one cluster each (L2 tables, reference count blocks) kept in memory. Changed ones stay until their owner
// writes them, in the order that keeps the file right at every moment; clean ones make room for others. Not locked:
// the owner's lock covers it.
#pragma once

#include <cerrno>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "image/qcow2/layout.hpp"
#include "image/storage.hpp"

namespace backplane::image::qcow2 {

// One table as it stands in the file.
struct Table {
    u64 offset = 0;
    std::vector<u8> data;
    u32 dirty_from = 0, dirty_to = 0;  // bytes changed since it was written; equal: none

    u64 get(u64 index) const { return be64(&data[index * 8]); }
    u64 entries() const { return data.size() / 8; }
};
using TablePtr = std::shared_ptr<Table>;

// Bytes behind the end of the file read as zeros: the last cluster of a file is often shorter than a cluster.
int read_padded(Storage& storage, u64 offset, std::span<u8> data);

class TableCache {
  public:
    TableCache(Storage& storage, u64 table_bytes, std::size_t capacity)
        : storage_(storage), table_bytes_(table_bytes), capacity_(capacity) {}

    // The table at `offset`, from the file if need be. Returns errno.
    int get(u64 offset, TablePtr& out);
    bool holds(u64 offset) const { return slots_.contains(offset); }
    // A new one, all zeros or a copy of another one's data, changed as a whole.
    TablePtr create(u64 offset, const std::vector<u8>* data = nullptr);
    void set(Table& table, u64 index, u64 value);
    void touched(Table& table, u64 from, u64 to);  // bytes
    void drop(u64 offset);
    void clear();

    std::size_t dirty() const { return dirty_; }
    std::size_t capacity() const { return capacity_; }
    // Writes every changed table; stops at the first error, what was not written stays changed.
    int write_dirty();

  private:
    struct Slot {
        TablePtr table;
        std::list<u64>::iterator age;
    };
    void insert(const TablePtr& table);
    void make_room();

    Storage& storage_;
    u64 table_bytes_;
    std::size_t capacity_;
    std::size_t dirty_ = 0;
    std::unordered_map<u64, Slot> slots_;
    std::list<u64> ages_;  // offsets, the least recently used first
};

}  // namespace backplane::image::qcow2
