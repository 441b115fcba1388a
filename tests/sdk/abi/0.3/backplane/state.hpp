/// @file
/// Declared state: one visitor for saving, restoring, inspecting and comparing.
#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>

#include "backplane/abi/device.h"
#include "backplane/types.hpp"

namespace backplane {

/// More about a field than its name: v("index", index_, {.max = 127}).
struct StateField {
    u32 since = 1;  ///< state version that brought the field; older snapshots leave it at its reset value
    /// What an element may be; for signed fields min and max are cast from i64. A bool is 0 or 1 without saying so.
    u64 min = 0;
    u64 max = ~u64{0};      ///< inclusive
    bool writable = false;  ///< front ends may set it on a machine that stands still
};

/// For a point of the machine's time in nanoseconds: from power-on to a century later, so that no sum overflows.
inline constexpr StateField kTimeField{.max = u64{1} << 62};

/// What state(StateVisitor& v) gets: v("name", field) for every field that a guest could observe. Integers, bools,
/// enums, floats and (nested) arrays of them. v.each("channel", array, fn) visits structs. An enum or an index that a
/// snapshot must not set to anything else says so: {.max = ...}.
class StateVisitor {
  public:
    /// Called by device.hpp.
    explicit StateVisitor(const bp_state_visitor* visitor) : visitor_(visitor) {}

    /// One field; the visitor reads it or writes it.
    template <class V>
    void operator()(std::string_view name, V& value, const StateField& about = {}) {
        using E = Element<V>;
        static_assert(std::is_arithmetic_v<E> || std::is_enum_v<E>, "state fields are numbers or arrays of numbers");
        emit(name, kind<E>(), sizeof(E), sizeof(V) / sizeof(E), &value, about, flags(about));
    }
    /// Raw bytes, such as a buffer of which only a part is in use.
    void bytes(std::string_view name, void* data, u64 size, const StateField& about = {}) {
        emit(name, BP_STATE_BYTES, 1, size, data, about, flags(about));
    }
    /// Of a back end: what must be the same when a snapshot is restored; never written.
    template <class V>
    void identity(std::string_view name, V& value) {
        emit(name, kind<Element<V>>(), sizeof(Element<V>), sizeof(V) / sizeof(Element<V>), &value, {},
             BP_STATE_IDENTITY);
    }
    /// Older versions had a field of this name, which means nothing any more.
    void dropped(std::string_view name) { emit(name, BP_STATE_BYTES, 1, 0, nullptr, {}, BP_STATE_DROPPED); }

    /// Calls function(*this, element) for each element; their fields are named "name[index].field".
    template <class Array, class Function>
    void each(std::string_view name, Array& array, Function function) {
        unsigned index = 0;
        for (auto& element : array) {
            char step[96];
            std::snprintf(step, sizeof step, "%.*s[%u]", static_cast<int>(name.size()), name.data(), index++);
            group(step, [&] { function(*this, element); });
        }
    }
    /// Calls function(); the fields that it visits are named "name.field".
    template <class Function>
    void group(std::string_view name, Function function) {
        const std::size_t length = prefix_.size();
        prefix_.append(name).push_back('.');
        function();
        prefix_.resize(length);
    }

  private:
    template <class V, class = void>
    struct ElementOf {
        using type = V;
    };
    template <class V, std::size_t N>
    struct ElementOf<V[N], void> {
        using type = typename ElementOf<V>::type;
    };
    template <class V, std::size_t N>
    struct ElementOf<std::array<V, N>, void> {
        using type = typename ElementOf<V>::type;
    };
    template <class V>
    using Element = typename ElementOf<V>::type;

    static u32 flags(const StateField& about) { return about.writable ? u32{BP_STATE_WRITABLE} : u32{0}; }
    template <class E>
    static constexpr u32 kind() {
        if constexpr (std::is_same_v<E, bool>)
            return BP_STATE_BOOL;
        else if constexpr (std::is_floating_point_v<E>)
            return BP_STATE_FLOAT;
        else if constexpr (std::is_enum_v<E>)
            return std::is_signed_v<std::underlying_type_t<E>> ? BP_STATE_SIGNED : BP_STATE_UNSIGNED;
        else
            return std::is_signed_v<E> ? BP_STATE_SIGNED : BP_STATE_UNSIGNED;
    }
    void emit(std::string_view name, u32 kind, u32 element_size, u64 count, void* data, const StateField& about,
              u32 flags) {
        const std::size_t length = prefix_.size();
        prefix_.append(name);
        bp_state_field field{};
        field.size = sizeof field;
        field.kind = kind;
        field.name = to_bp(prefix_);
        field.element_size = element_size;
        field.since = about.since;
        field.flags = flags;
        field.count = count;
        field.data = data;
        // Unless the device says otherwise, every value of the element's type.
        field.minimum = about.min, field.maximum = about.max;
        if (kind == BP_STATE_BOOL) field.maximum = 1;
        if (kind == BP_STATE_SIGNED && about.min == 0 && about.max == ~u64{0})
            field.minimum = u64{1} << 63, field.maximum = ~u64{0} >> 1;
        visitor_->field(visitor_->self, &field);
        prefix_.resize(length);
    }
    const bp_state_visitor* visitor_;
    std::string prefix_;
};

}  // namespace backplane
