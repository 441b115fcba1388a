#include "image/qcow2/tables.hpp"

#include <algorithm>

namespace backplane::image::qcow2 {

namespace {
constexpr u32 kWriteAlignment = 4096;
}

int read_padded(Storage& storage, u64 offset, std::span<u8> data) {
    const u64 end = storage.size();
    const u64 inside = offset >= end ? 0 : std::min<u64>(data.size(), end - offset);
    if (inside < data.size()) std::memset(data.data() + inside, 0, data.size() - inside);
    return inside ? storage.read(offset, data.first(inside)) : 0;
}

int TableCache::get(u64 offset, TablePtr& out) {
    if (const auto found = slots_.find(offset); found != slots_.end()) {
        ages_.splice(ages_.end(), ages_, found->second.age);
        out = found->second.table;
        return 0;
    }
    auto table = std::make_shared<Table>();
    table->offset = offset;
    table->data.resize(table_bytes_);
    if (const int error = read_padded(storage_, offset, table->data)) return error;
    insert(table);
    out = std::move(table);
    return 0;
}

TablePtr TableCache::create(u64 offset, const std::vector<u8>* data) {
    drop(offset);
    auto table = std::make_shared<Table>();
    table->offset = offset;
    if (data)
        table->data = *data;
    else
        table->data.resize(table_bytes_);
    insert(table);
    touched(*table, 0, table_bytes_);
    return table;
}

void TableCache::insert(const TablePtr& table) {
    make_room();
    slots_[table->offset] = {table, ages_.insert(ages_.end(), table->offset)};
}

void TableCache::make_room() {
    for (auto i = ages_.begin(); i != ages_.end() && slots_.size() >= capacity_;) {
        const auto slot = slots_.find(*i);
        const Table& table = *slot->second.table;
        if (table.dirty_from != table.dirty_to || slot->second.table.use_count() > 1) {
            ++i;
            continue;
        }
        slots_.erase(slot);
        i = ages_.erase(i);
    }
}

void TableCache::set(Table& table, u64 index, u64 value) {
    put64(&table.data[index * 8], value);
    touched(table, index * 8, index * 8 + 8);
}

void TableCache::touched(Table& table, u64 from, u64 to) {
    if (table.dirty_from == table.dirty_to) {
        ++dirty_;
        table.dirty_from = static_cast<u32>(from);
        table.dirty_to = static_cast<u32>(to);
    } else {
        table.dirty_from = std::min(table.dirty_from, static_cast<u32>(from));
        table.dirty_to = std::max(table.dirty_to, static_cast<u32>(to));
    }
}

void TableCache::drop(u64 offset) {
    const auto slot = slots_.find(offset);
    if (slot == slots_.end()) return;
    if (slot->second.table->dirty_from != slot->second.table->dirty_to) --dirty_;
    ages_.erase(slot->second.age);
    slots_.erase(slot);
}

void TableCache::clear() {
    slots_.clear();
    ages_.clear();
    dirty_ = 0;
}

int TableCache::write_dirty() {
    if (dirty_ == 0) return 0;
    std::vector<Table*> changed;
    for (auto& [offset, slot] : slots_)
        if (slot.table->dirty_from != slot.table->dirty_to) changed.push_back(slot.table.get());
    std::sort(changed.begin(), changed.end(), [](const Table* a, const Table* b) { return a->offset < b->offset; });
    for (Table* table : changed) {
        const u64 from = table->dirty_from / kWriteAlignment * kWriteAlignment;
        const u64 to = std::min<u64>(round_up(table->dirty_to, kWriteAlignment), table->data.size());
        if (const int error =
                storage_.write(table->offset + from, std::span<const u8>(table->data).subspan(from, to - from)))
            return error;
        table->dirty_from = table->dirty_to = 0;
        --dirty_;
    }
    return 0;
}

}  // namespace backplane::image::qcow2
