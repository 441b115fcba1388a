#include "kernel/config/value.hpp"

#include <algorithm>

namespace backplane::kernel {

Value Value::scalar(std::string text, Position position, bool quoted) {
    Value v;
    v.kind_ = Kind::kScalar, v.text_ = std::move(text), v.position_ = std::move(position), v.quoted_ = quoted;
    return v;
}

Value Value::list(Position position) {
    Value v;
    v.kind_ = Kind::kList, v.position_ = std::move(position);
    return v;
}

Value Value::map(Position position) {
    Value v;
    v.kind_ = Kind::kMap, v.position_ = std::move(position);
    return v;
}

const char* Value::kind_name() const {
    switch (kind_) {
        case Kind::kNull: return "nothing";
        case Kind::kScalar: return "a single value";
        case Kind::kList: return "a list";
        case Kind::kMap: return "a map";
    }
    return "";
}

const Value* Value::find(std::string_view key) const {
    for (const Entry& entry : entries_)
        if (entry.key == key) return &entry.value;
    return nullptr;
}

Value* Value::find(std::string_view key) {
    for (Entry& entry : entries_)
        if (entry.key == key) return &entry.value;
    return nullptr;
}

Value& Value::set(std::string key, Position position, Value value) {
    for (Entry& entry : entries_) {
        if (entry.key != key) continue;
        entry.position = std::move(position), entry.value = std::move(value);
        return entry.value;
    }
    entries_.push_back({std::move(key), std::move(position), std::move(value)});
    return entries_.back().value;
}

void Value::erase(std::string_view key) {
    std::erase_if(entries_, [&](const Entry& e) { return e.key == key; });
}

std::vector<const Value*> Value::as_list() const {
    std::vector<const Value*> out;
    if (kind_ == Kind::kScalar || kind_ == Kind::kMap) out.push_back(this);
    for (const Value& item : items_) out.push_back(&item);
    return out;
}

void merge(Value& base, const Value& over) {
    if (!base.is_map() || !over.is_map()) {
        base = over;
        return;
    }
    for (const Value::Entry& entry : over.entries()) {
        if (entry.value.is_null()) {
            base.erase(entry.key);
            continue;
        }
        Value* there = base.find(entry.key);
        if (there && there->is_map() && entry.value.is_map())
            merge(*there, entry.value);
        else if (entry.value.is_map()) {
            // A null inside a map that is new here deletes nothing, and must not stay behind as a value.
            Value fresh = Value::map(entry.value.position());
            merge(fresh, entry.value);
            base.set(entry.key, entry.position, std::move(fresh));
        } else {
            base.set(entry.key, entry.position, entry.value);
        }
    }
}

}  // namespace backplane::kernel
