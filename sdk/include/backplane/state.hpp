// Declared state: one visitor for saving, restoring, inspecting and comparing.
#pragma once

#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>

#include "backplane/abi/device.h"
#include "backplane/types.hpp"

namespace backplane {

// What state(StateVisitor& v) gets: v("name", field) for every field that a guest could observe. Integers, bools,
// enums, floats and (nested) arrays of them. v.each("channel", array, fn) visits structs. `since` is the state version
// that introduced the field.
class StateVisitor {
  public:
    explicit StateVisitor(const bp_state_visitor* visitor) : visitor_(visitor) {}

    template <class V>
    void operator()(std::string_view name, V& value, u32 since = 1) {
        using E = Element<V>;
        static_assert(std::is_arithmetic_v<E> || std::is_enum_v<E>, "state fields are numbers or arrays of numbers");
        emit(name, kind<E>(), sizeof(E), sizeof(V) / sizeof(E), &value, since);
    }
    // Raw bytes, such as a buffer of which only a part is in use.
    void bytes(std::string_view name, void* data, u64 size, u32 since = 1) {
        emit(name, BP_STATE_BYTES, 1, size, data, since);
    }

    template <class Array, class Function>
    void each(std::string_view name, Array& array, Function function) {
        unsigned index = 0;
        for (auto& element : array) {
            char step[96];
            std::snprintf(step, sizeof step, "%.*s[%u]", static_cast<int>(name.size()), name.data(), index++);
            group(step, [&] { function(*this, element); });
        }
    }
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
    void emit(std::string_view name, u32 kind, u32 element_size, u64 count, void* data, u32 since) {
        const std::size_t length = prefix_.size();
        prefix_.append(name);
        bp_state_field field{};
        field.size = sizeof field;
        field.kind = kind;
        field.name = to_bp(prefix_);
        field.element_size = element_size;
        field.since = since;
        field.count = count;
        field.data = data;
        visitor_->field(visitor_->self, &field);
        prefix_.resize(length);
    }
    const bp_state_visitor* visitor_;
    std::string prefix_;
};

}  // namespace backplane
