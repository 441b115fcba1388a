/// @file
/// An interrupt controller (bp.intr/1) that leads on to another one and lets somebody hear each call.
#pragma once

#include <functional>
#include <utility>

#include "backplane/abi/cpu.h"
#include "backplane/types.hpp"

namespace backplane {

/// Stands between a CPU and its controller. Offers what the real one offers. Its address must not change.
class IntrProxy {
  public:
    /// One call: its number, its argument, whether it only asks (and changes nothing), and how to make it.
    struct Call {
        u64 number = 0;                    ///< kAcknowledge or another one
        u64 argument = 0;                  ///< 0 if it has none
        bool asks = false;                 ///< it changes nothing
        const std::function<i64()>& make;  ///< makes the real call and returns its answer
    };
    /// Hears a call and returns its answer.
    using Hear = std::function<i64(const Call& call)>;
    static constexpr u64 kAcknowledge = 0;  ///< Call::number of bp_intr.acknowledge

    /// `real`: of bp.intr/1, with a table.
    IntrProxy(bp_interface real, Hear hear) : real_(real), hear_(std::move(hear)), table_(real_table()) {
        table_.size = sizeof table_;
        if (table_.acknowledge)
            table_.acknowledge = [](void* self) {
                IntrProxy& p = of(self);
                return static_cast<i32>(
                    p.heard(kAcknowledge, 0, false, [&] { return i64{p.real_table().acknowledge(p.real_.instance)}; }));
            };
        if (table_.apic_base)
            table_.apic_base = [](void* self) -> i64 {
                IntrProxy& p = of(self);
                return p.heard(1, 0, true, [&] { return i64{p.real_table().apic_base(p.real_.instance)}; });
            };
        if (table_.set_apic_base)
            table_.set_apic_base = [](void* self, u64 value) {
                IntrProxy& p = of(self);
                return static_cast<bp_status>(p.heard(
                    2, value, false, [&] { return i64{p.real_table().set_apic_base(p.real_.instance, value)}; }));
            };
        if (table_.tpr)
            table_.tpr = [](void* self) {
                IntrProxy& p = of(self);
                return static_cast<u32>(p.heard(3, 0, true, [&] { return i64{p.real_table().tpr(p.real_.instance)}; }));
            };
        if (table_.set_tpr)
            table_.set_tpr = [](void* self, u32 value) {
                IntrProxy& p = of(self);
                p.heard(4, value, false, [&] { return p.real_table().set_tpr(p.real_.instance, value), i64{0}; });
            };
    }
    IntrProxy(const IntrProxy&) = delete;
    IntrProxy& operator=(const IntrProxy&) = delete;

    bp_interface real() const { return real_; }           ///< what it leads on to
    bp_interface interface() { return {&table_, this}; }  ///< what a link gets instead

  private:
    static IntrProxy& of(void* self) { return *static_cast<IntrProxy*>(self); }
    const bp_intr& real_table() const { return *static_cast<const bp_intr*>(real_.table); }
    i64 heard(u64 number, u64 argument, bool asks, const std::function<i64()>& make) {
        return hear_({number, argument, asks, make});
    }

    bp_interface real_;
    Hear hear_;
    bp_intr table_;
};

}  // namespace backplane
