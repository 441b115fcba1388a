/// @file
/// What a device type declares about itself. describe() is written once and runs in two ways: to tell the kernel about
/// the type (properties, lines, regions ...), and to bind the handles and property values of one instance.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <type_traits>

#include "backplane/abi/device.h"
#include "backplane/slot.hpp"
#include "backplane/types.hpp"

namespace backplane {

/// A property's declaration. `def` is its default as text ("" and required = true: the YAML must give it). `choices`
/// for enums: "adlib|sb16", in the order of the enumerators.
struct Property {
    std::string_view doc;           ///< one line
    std::string_view def = {};      ///< default, as the YAML would have it
    bool required = false;          ///< the YAML must give it
    std::string_view choices = {};  ///< of an enum
    u64 min = 0;                    ///< of a number, size or duration
    u64 max = ~u64{0};              ///< inclusive
};

/// What describe() talks to. Each function declares an item, and in the second kind of run binds it to the instance.
template <class T>
class Schema {
  public:
    /// Tells the kernel about the type. These constructors are called by device.hpp.
    explicit Schema(const bp_describer* describer) : describer_(describer) {}
    /// Binds handles and property values of an instance.
    Schema(T* instance, const Slot* slot) : instance_(instance), slot_(slot) {}
    /// Looks for an offered interface.
    Schema(T* instance, std::string_view offer_id, std::string_view offer_name)
        : instance_(instance), wanted_id_(offer_id), wanted_name_(offer_name) {}
    /// After a restore: output handles take over the levels of their wires.
    explicit Schema(T* instance) : instance_(instance), adopting_(true) {}

    /// One line about the type.
    void doc(std::string_view text) {
        if (describer_) describer_->doc(describer_->self, to_bp(text));
    }

    /// member: a pointer to member (&T::base_year_) or a function from T& to a reference. Kind follows from its type:
    /// bool, unsigned integers, Bytes, Duration, std::string, Path, enum.
    template <class Member>
    void property(std::string_view name, Member member, const Property& p) {
        using V = std::remove_cvref_t<std::invoke_result_t<Member, T&>>;
        const u32 index = properties_++;
        if (describer_) {
            bp_property d{};
            d.size = sizeof d;
            d.kind = property_kind<V>();
            d.name = to_bp(name);
            d.doc = to_bp(p.doc);
            d.default_text = p.required ? bp_str{nullptr, 0} : bp_str{p.def.data() ? p.def.data() : "", p.def.size()};
            d.choices = to_bp(p.choices);
            d.minimum = p.min;
            d.maximum = limit<V>(p.max);
            describer_->property(describer_->self, &d);
        }
        if (slot_) load(std::invoke(member, *instance_), index, p.choices);
    }

    /// member: LineOut.
    template <class Member>
    void line_out(std::string_view name, Member member, std::string_view doc) {
        lines(BP_LINE_OUT, name, doc, 1, nullptr);
        if (slot_) std::invoke(member, *instance_).bind(slot_, outs_);
        if (adopting_) std::invoke(member, *instance_).adopt();
        ++outs_;
    }
    /// member: `std::array<LineOut, N>`; on the board the lines are name0 ... nameN-1.
    template <class Member>
    void lines_out(std::string_view name, Member member, std::string_view doc) {
        using Array = std::remove_cvref_t<std::invoke_result_t<Member, T&>>;
        constexpr u32 n = static_cast<u32>(std::tuple_size_v<Array>);
        lines(BP_LINE_OUT, name, doc, n, nullptr);
        if (slot_)
            for (u32 i = 0; i < n; ++i) std::invoke(member, *instance_)[i].bind(slot_, outs_ + i);
        if (adopting_)
            for (LineOut& line : std::invoke(member, *instance_)) line.adopt();
        outs_ += n;
    }
    /// Handler: void (bool level) for one line, void (u32 line, bool level) for a bundle of `count`.
    template <auto Handler>
    void line_in(std::string_view name, std::string_view doc) {
        lines(BP_LINE_IN, name, doc, 1, [](void* i, u32, int level) { (static_cast<T*>(i)->*Handler)(level != 0); });
    }
    /// The same for a bundle of `count` lines, on the board name0, name1 and so on.
    template <auto Handler>
    void lines_in(std::string_view name, u32 count, std::string_view doc) {
        lines(BP_LINE_IN, name, doc, count,
              [](void* i, u32 line, int level) { (static_cast<T*>(i)->*Handler)(line, level != 0); });
    }

    /// Read: u64 (u64 offset, u32 bytes) or nullptr; Write: void (u64 offset, u32 bytes, u64 value) or nullptr.
    /// widths: OR of the decoded access sizes 1, 2, 4, 8.
    template <auto Read, auto Write>
    void ports(std::string_view name, u64 length, u32 widths, std::string_view doc) {
        region_at<Read, Write>(BP_REGION_PORTS, name, length, widths, doc);
    }
    /// With a Region, by which the device moves it at run time.
    template <auto Read, auto Write, class Member>
    void ports(std::string_view name, u64 length, u32 widths, std::string_view doc, Member handle) {
        bind_region(handle);
        region_at<Read, Write>(BP_REGION_PORTS, name, length, widths, doc);
    }
    /// The same in memory.
    template <auto Read, auto Write>
    void memory(std::string_view name, u64 length, u32 widths, std::string_view doc) {
        region_at<Read, Write>(BP_REGION_MEMORY, name, length, widths, doc);
    }
    /// With a Region, by which the device moves it at run time.
    template <auto Read, auto Write, class Member>
    void memory(std::string_view name, u64 length, u32 widths, std::string_view doc, Member handle) {
        bind_region(handle);
        region_at<Read, Write>(BP_REGION_MEMORY, name, length, widths, doc);
    }

    /// Handler: void (i64 due), due being the time the timer was armed for.
    template <auto Handler, class Member>
    void timer(std::string_view name, Member member) {
        if (describer_) {
            bp_timer d{sizeof(bp_timer), to_bp(name), [](void* i, i64 due) { (static_cast<T*>(i)->*Handler)(due); }};
            describer_->timer(describer_->self, &d);
        }
        if (slot_) std::invoke(member, *instance_).bind(slot_, timers_);
        ++timers_;
    }

    /// member: `Link<Table>`.
    template <class Member>
    void link(std::string_view name, Member member, std::string_view interface_id, std::string_view doc,
              bool optional = false) {
        if (describer_) {
            bp_link d{sizeof(bp_link), to_bp(name), to_bp(doc), to_bp(interface_id), optional ? 1 : 0};
            describer_->link(describer_->self, &d);
        }
        if (slot_) std::invoke(member, *instance_).bind(slot_->core().link(slot_->self(), links_));
        ++links_;
    }

    /// Attach: `bp_status (std::string_view address, std::string_view child_name, bp_interface child, bp_interface*
    /// host)`.
    template <auto Attach>
    void bus(std::string_view name, std::string_view child_id, std::string_view host_id, std::string_view doc) {
        if (!describer_) return;
        bp_bus d{};
        d.size = sizeof d;
        d.name = to_bp(name), d.doc = to_bp(doc);
        d.child_interface_id = to_bp(child_id), d.host_interface_id = to_bp(host_id);
        d.attach = [](void* i, bp_str address, bp_str child_name, bp_interface child, bp_interface* host) -> bp_status {
            return (static_cast<T*>(i)->*Attach)(to_view(address), to_view(child_name), child, host);
        };
        describer_->bus(describer_->self, &d);
    }
    /// This device sits on a bus: it offers `table` (interface child_id) there and gets member (a Link) bound when
    /// plugged in.
    template <class Table, class Member>
    void plug(std::string_view child_id, const Table* table, std::string_view host_id, Member member) {
        if (describer_) {
            bp_plug d{sizeof(bp_plug), to_bp(child_id), to_bp(host_id)};
            describer_->plug(describer_->self, &d);
        }
        if (plugging_) std::invoke(member, *instance_).bind(host_);
        match(child_id, "", table);
    }
    /// Other devices may link to this one by `interface_id`. The table's functions get the T* as instance.
    template <class Table>
    void offer(std::string_view interface_id, const Table* table, std::string_view name = "") {
        if (describer_) {
            bp_offer d{sizeof(bp_offer), to_bp(interface_id), to_bp(name)};
            describer_->offer(describer_->self, &d);
        }
        match(interface_id, name, table);
    }

    /// This type publishes the fact in publish(); with must_consume a board where nobody consumes it is refused.
    void publishes(std::string_view what, std::string_view doc, bool must_consume = false) {
        fact(what, doc, 1, must_consume);
    }
    /// This type takes the fact in consume().
    void consumes(std::string_view what, std::string_view doc) { fact(what, doc, 0, false); }

    /// member: TracePoint.
    template <class Member>
    void trace(std::string_view name, Member member, std::string_view doc) {
        if (describer_) {
            bp_trace_point d{sizeof(bp_trace_point), to_bp(name), to_bp(doc)};
            describer_->trace(describer_->self, &d);
        }
        if (slot_) std::invoke(member, *instance_).bind(slot_, traces_);
        ++traces_;
    }

    /// The interface that was looked for. This and plug_into() are used by device.hpp.
    bp_interface found() const { return found_; }
    /// Hands the bus's interface to the plug.
    void plug_into(bp_interface host) { plugging_ = true, host_ = host; }

  private:
    template <class V>
    static constexpr u32 property_kind() {
        if constexpr (std::is_same_v<V, bool>)
            return BP_PROPERTY_BOOL;
        else if constexpr (std::is_same_v<V, Bytes>)
            return BP_PROPERTY_SIZE;
        else if constexpr (std::is_same_v<V, Duration>)
            return BP_PROPERTY_DURATION;
        else if constexpr (std::is_same_v<V, Path>)
            return BP_PROPERTY_PATH;
        else if constexpr (std::is_same_v<V, std::string>)
            return BP_PROPERTY_STRING;
        else if constexpr (std::is_enum_v<V>)
            return BP_PROPERTY_ENUM;
        else {
            static_assert(std::is_unsigned_v<V>,
                          "a property is bool, unsigned, Bytes, Duration, std::string, Path or an enum");
            return BP_PROPERTY_U64;
        }
    }
    template <class V>
    static constexpr u64 limit(u64 max) {
        if constexpr (std::is_unsigned_v<V> && !std::is_same_v<V, bool>) {
            constexpr u64 top = static_cast<V>(~V{0});
            return max < top ? max : top;
        }
        return max;
    }
    template <class V>
    void load(V& value, u32 index, std::string_view choices) {
        const bp_slot_api& core = slot_->core();
        if constexpr (std::is_same_v<V, std::string>)
            value = std::string(to_view(core.property_str(slot_->self(), index)));
        else if constexpr (std::is_same_v<V, Path>)
            value.text = std::string(to_view(core.property_str(slot_->self(), index)));
        else if constexpr (std::is_same_v<V, Bytes>)
            value.value = core.property_u64(slot_->self(), index);
        else if constexpr (std::is_same_v<V, Duration>)
            value.ns = static_cast<i64>(core.property_u64(slot_->self(), index));
        else if constexpr (std::is_enum_v<V>)
            value = static_cast<V>(choice(choices, to_view(core.property_str(slot_->self(), index))));
        else
            value = static_cast<V>(core.property_u64(slot_->self(), index));
    }
    static int choice(std::string_view choices, std::string_view text) {
        for (int n = 0;; ++n) {
            const auto bar = choices.find('|');
            if (choices.substr(0, bar) == text || bar == std::string_view::npos) return n;
            choices.remove_prefix(bar + 1);
        }
    }
    void lines(u32 direction, std::string_view name, std::string_view doc, u32 count,
               void (*changed)(void*, u32, int)) {
        if (!describer_) return;
        bp_line d{sizeof(bp_line), direction, to_bp(name), to_bp(doc), count, changed};
        describer_->line(describer_->self, &d);
    }
    template <class Member>
    void bind_region(Member handle) {
        if (slot_) std::invoke(handle, *instance_).bind(slot_, regions_);
    }
    template <auto Read, auto Write>
    void region_at(u32 kind, std::string_view name, u64 length, u32 widths, std::string_view doc) {
        ++regions_;
        if (!describer_) return;
        bp_region d{};
        d.size = sizeof d;
        d.kind = kind, d.name = to_bp(name), d.doc = to_bp(doc), d.length = length, d.widths = widths;
        if constexpr (!std::is_null_pointer_v<decltype(Read)>)
            d.read = [](void* i, u64 offset, u32 bytes) -> u64 { return (static_cast<T*>(i)->*Read)(offset, bytes); };
        if constexpr (!std::is_null_pointer_v<decltype(Write)>)
            d.write = [](void* i, u64 offset, u32 bytes, u64 value) {
                (static_cast<T*>(i)->*Write)(offset, bytes, value);
            };
        describer_->region(describer_->self, &d);
    }
    void fact(std::string_view what, std::string_view doc, int publishes, bool must_consume) {
        if (!describer_) return;
        bp_fact_use d{sizeof(bp_fact_use), to_bp(what), to_bp(doc), publishes, must_consume ? 1 : 0};
        describer_->fact(describer_->self, &d);
    }
    void match(std::string_view id, std::string_view name, const void* table) {
        if (!wanted_id_.empty() && id == wanted_id_ && name == wanted_name_ && !found_.table)
            found_ = {table, instance_};
    }

    const bp_describer* describer_ = nullptr;
    T* instance_ = nullptr;
    const Slot* slot_ = nullptr;
    std::string_view wanted_id_, wanted_name_;
    bp_interface found_{nullptr, nullptr};
    bool plugging_ = false, adopting_ = false;
    bp_interface host_{nullptr, nullptr};
    u32 properties_ = 0, outs_ = 0, regions_ = 0, timers_ = 0, links_ = 0, traces_ = 0;
};

}  // namespace backplane
