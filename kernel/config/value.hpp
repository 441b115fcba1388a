// A parsed YAML tree of our own: small, ordered, every node knows where it was written.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/types.hpp"
#include "kernel/config/error.hpp"

namespace backplane::kernel {

class Value {
  public:
    enum class Kind { kNull, kScalar, kList, kMap };
    struct Entry;  // of a map: key, position of the key, value

    Value() = default;
    static Value scalar(std::string text, Position position, bool quoted = false);
    static Value list(Position position);
    static Value map(Position position);

    Kind kind() const { return kind_; }
    bool is_null() const { return kind_ == Kind::kNull; }
    bool is_scalar() const { return kind_ == Kind::kScalar; }
    bool is_list() const { return kind_ == Kind::kList; }
    bool is_map() const { return kind_ == Kind::kMap; }
    const char* kind_name() const;  // "nothing", "a single value", "a list", "a map"

    const Position& position() const { return position_; }
    void set_position(Position position) { position_ = std::move(position); }

    // Scalars: the text as written, without quotes.
    const std::string& text() const { return text_; }
    bool quoted() const { return quoted_; }
    void set_text(std::string text) { text_ = std::move(text); }

    const std::vector<Value>& items() const { return items_; }
    std::vector<Value>& items() { return items_; }
    const std::vector<Entry>& entries() const { return entries_; }
    std::vector<Entry>& entries() { return entries_; }

    // Maps: the value under `key`, or null.
    const Value* find(std::string_view key) const;
    Value* find(std::string_view key);
    // Adds or replaces.
    Value& set(std::string key, Position position, Value value);
    void erase(std::string_view key);

    // A list's items; a scalar counts as a list of one; null as none.
    std::vector<const Value*> as_list() const;

  private:
    Kind kind_ = Kind::kNull;
    bool quoted_ = false;
    Position position_;
    std::string text_;
    std::vector<Value> items_;
    std::vector<Entry> entries_;
};

struct Value::Entry {
    std::string key;
    Position position;
    Value value;
};

// Limits that keep a hostile file from eating the host.
inline constexpr std::size_t kMaxYamlBytes = 8u << 20;
inline constexpr int kMaxYamlDepth = 64;
inline constexpr std::size_t kMaxYamlNodes = 200'000;  // after expansion of aliases

// Reads a YAML file. Every failure is an Error "file:line:column: text".
Value read_yaml_file(const std::string& path);
// The same for a text in memory; `name` stands for the file in errors.
Value parse_yaml(std::string_view text, const std::string& name);
// A value given on the command line: parsed as YAML, every node placed at `position`.
Value parse_yaml_option(std::string_view text, const Position& position);

// Merges `over` into `base`: maps recursively, anything else replaces; a null in `over` deletes the entry.
void merge(Value& base, const Value& over);

}  // namespace backplane::kernel
