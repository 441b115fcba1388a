// Declared state as text.
#include <cstdio>
#include <cstring>

#include "kernel/machine/assembly.hpp"
#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

namespace {
void append_value(std::string& out, const bp_state_field& f, u64 element) {
    u64 raw = 0;
    std::memcpy(&raw, static_cast<const u8*>(f.data) + element * f.element_size,
                f.element_size <= 8 ? f.element_size : 8);
    char text[32];
    if (f.kind == BP_STATE_BOOL) {
        std::snprintf(text, sizeof text, "%s", raw ? "true" : "false");
    } else if (f.kind == BP_STATE_SIGNED) {
        const int shift = 64 - 8 * static_cast<int>(f.element_size);
        std::snprintf(text, sizeof text, "%lld", static_cast<long long>(static_cast<i64>(raw << shift) >> shift));
    } else {
        std::snprintf(text, sizeof text, "%0*llx", static_cast<int>(2 * f.element_size),
                      static_cast<unsigned long long>(raw));
    }
    out += text;
}
}  // namespace

std::string Machine::state_text(std::string_view only) {
    std::string text;
    lock_.lock();
    for (Instance& d : live_->all()) {
        if (!only.empty() && d.name() != only) continue;
        struct Context {
            std::string& out;
            const std::string& name;
        } context{text, d.name()};
        const bp_state_visitor visitor{sizeof(bp_state_visitor), &context, [](void* self, const bp_state_field* f) {
                                           auto& c = *static_cast<Context*>(self);
                                           c.out += c.name + "." + std::string(f->name.data, f->name.size) + " =";
                                           constexpr u64 kShown = 64;
                                           for (u64 i = 0; i < f->count && i < kShown; ++i) {
                                               c.out += ' ';
                                               append_value(c.out, *f, i);
                                           }
                                           if (f->count > kShown) c.out += " ...";
                                           c.out += '\n';
                                       }};
        d.type->abi->visit_state(d.object, &visitor);
    }
    lock_.unlock();
    return text;
}

bp_interface Machine::find_interface(std::string_view id, std::string_view name) {
    for (Instance& d : live_->all()) {
        if ((!name.empty() && d.name() != name) || !d.type->offers_interface(id)) continue;
        const bp_interface found = d.type->abi->offer(d.object, {id.data(), id.size()}, {"", 0});
        if (found.table) return found;
    }
    return {nullptr, nullptr};
}

}  // namespace backplane::kernel
