/// @file
/// Base class of every device, and the glue between it and the C ABI.
///
/// @code{.cpp}
/// struct Blinker : backplane::Device<Blinker> {
///     static constexpr std::string_view kType = "demo.blinker";
///     using Device::Device;
///     static void describe(Schema<Blinker>& s);      // required
///     bp_status start();  // optional, as are stop, publish, consume, reset, state, restored, connect, drain, input
/// };
/// BACKPLANE_PLUGIN("demo.blinker", "0.1.0", "Apache-2.0", kDevice, "", Blinker)  // plugin.hpp
/// @endcode
#pragma once

#include <cstdarg>
#include <cstdio>
#include <exception>
#include <new>
#include <string_view>
#include <vector>

#include "backplane/abi/device.h"
#include "backplane/schema.hpp"
#include "backplane/slot.hpp"
#include "backplane/state.hpp"
#include "backplane/types.hpp"

namespace backplane {

/// A fact as a consumer reads it.
class Fact {
  public:
    /// Wraps what consume() was called with; valid for the call.
    explicit Fact(const bp_fact* fact) : fact_(fact) {}
    /// Name of the fact: "disk.geometry".
    std::string_view what() const { return to_view(fact_->what); }
    /// Which one, in the publisher's own terms: "0".
    std::string_view key() const { return to_view(fact_->key); }
    /// Number of the field, or `fallback` if the fact has no such field.
    u64 number(std::string_view name, u64 fallback = 0) const {
        const bp_fact_field* f = find(name);
        return f ? f->number : fallback;
    }
    /// Text of the field, or an empty view.
    std::string_view text(std::string_view name) const {
        const bp_fact_field* f = find(name);
        return f ? to_view(f->text) : std::string_view{};
    }

  private:
    const bp_fact_field* find(std::string_view name) const {
        for (std::size_t i = 0; i < fact_->field_count; ++i)
            if (to_view(fact_->fields[i].name) == name) return &fact_->fields[i];
        return nullptr;
    }
    const bp_fact* fact_;
};

/// One field of a fact to publish: a number, or a text if `text` is not null.
struct FactField {
    std::string_view name;       ///< of the field
    u64 number = 0;              ///< if it is a number
    std::string_view text = {};  ///< if it is a text
};

/// Base of a device class: `struct Blinker : Device<Blinker>`. Holds the slot; everything that a device may reach is
/// a member function here or a handle that describe() binds.
template <class Self>
class Device {
  public:
    /// Called by the kernel. Properties and handles are bound when the constructor of the device has returned.
    explicit Device(const Slot& slot) : slot_(slot) {}
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;
    /// The services of the kernel, for what has no function here.
    const Slot& slot() const { return slot_; }

  protected:
    /// The device's name on the board.
    std::string_view name() const { return to_view(slot_.core().name(slot_.self())); }
    /// Virtual time in nanoseconds since power-on.
    i64 now() const { return slot_.clock().now(slot_.self()); }

    /// Reports why start(), publish() ... failed: return fail(BP_ERR_IO, "disk %s: %s", ...).
    __attribute__((format(printf, 3, 4))) bp_status fail(bp_status status, const char* format, ...) const {
        char text[1024];
        va_list args;
        va_start(args, format);
        const int n = std::vsnprintf(text, sizeof text, format, args);
        va_end(args);
        return slot_.core().fail(slot_.self(), status, {text, TracePoint::clip(n, sizeof text)});
    }
    /// The guest did something odd. Rate-limited, like log_unimplemented().
    __attribute__((format(printf, 2, 3))) void log_guest(const char* format, ...) const {
        va_list args;
        va_start(args, format);
        log(BP_LOG_GUEST, format, args);
        va_end(args);
    }
    /// The guest asked for something that the model lacks.
    __attribute__((format(printf, 2, 3))) void log_unimplemented(const char* format, ...) const {
        va_list args;
        va_start(args, format);
        log(BP_LOG_UNIMPLEMENTED, format, args);
        va_end(args);
    }
    /// For the device's author.
    __attribute__((format(printf, 2, 3))) void log_debug(const char* format, ...) const {
        va_list args;
        va_start(args, format);
        log(BP_LOG_DEBUG, format, args);
        va_end(args);
    }
    /// Worth knowing.
    __attribute__((format(printf, 2, 3))) void log_info(const char* format, ...) const {
        va_list args;
        va_start(args, format);
        log(BP_LOG_INFO, format, args);
        va_end(args);
    }
    /// Something is wrong, and the machine goes on.
    __attribute__((format(printf, 2, 3))) void log_warn(const char* format, ...) const {
        va_list args;
        va_start(args, format);
        log(BP_LOG_WARN, format, args);
        va_end(args);
    }
    /// Something is lost.
    __attribute__((format(printf, 2, 3))) void log_error(const char* format, ...) const {
        va_list args;
        va_start(args, format);
        log(BP_LOG_ERROR, format, args);
        va_end(args);
    }

    /// Copies guest-physical memory; BP_ERR_INVALID if a part is no memory, which then reads as FFh.
    bp_status dma_read(u64 address, void* data, u64 size) const {
        return slot_.dma().read(slot_.self(), address, data, size);
    }
    /// Copies to guest-physical memory; BP_ERR_INVALID if a part is no memory.
    bp_status dma_write(u64 address, const void* data, u64 size) const {
        return slot_.dma().write(slot_.self(), address, data, size);
    }

    /// In publish(): makes a fact known to its consumers.
    bp_status publish_fact(std::string_view what, std::string_view key, std::initializer_list<FactField> fields) const {
        std::vector<bp_fact_field> list;
        for (const FactField& f : fields) list.push_back({to_bp(f.name), f.number, to_bp(f.text)});
        const bp_fact fact{to_bp(what), to_bp(key), list.data(), list.size()};
        return slot_.publish().publish(slot_.self(), &fact);
    }
    /// Asks the machine for BP_REQUEST_RESET, _POWEROFF, _STOP or _EXIT; served after the current instruction.
    void request(u32 what, u32 argument, std::string_view reason) const {
        slot_.machine().request(slot_.self(), what, argument, to_bp(reason));
    }

  private:
    void log(u32 kind, const char* format, va_list args) const {
        if (!slot_.log().enabled(slot_.self(), kind)) return;
        char text[1024];
        const int n = std::vsnprintf(text, sizeof text, format, args);
        slot_.log().log(slot_.self(), kind, {text, TracePoint::clip(n, sizeof text)});
    }
    Slot slot_;
};

/// The ABI table of a device class. No exception crosses the line.
template <class T>
struct DeviceType {
    static void describe(const bp_describer* d) {
        Schema<T> schema(d);
        T::describe(schema);
    }
    static bp_status create(const bp_slot* raw, void** instance) noexcept {
        try {
            T* self = new T(Slot(*raw));
            bind(self);
            *instance = self;
            return BP_OK;
        } catch (const std::exception&) {
            return BP_ERR_NO_MEMORY;
        }
    }
    static void destroy(void* i) noexcept { delete static_cast<T*>(i); }
    static bp_status start(void* i) noexcept {
        T* self = static_cast<T*>(i);
        return guard(self, [self] {
            bind(self);  // once more: the links are joined by now
            if constexpr (requires { self->start(); })
                return self->start();
            else
                return bp_status{BP_OK};
        });
    }
    static void stop(void* i) noexcept {
        [[maybe_unused]] T* self = static_cast<T*>(i);
        if constexpr (requires { self->stop(); }) self->stop();
    }
    static bp_status publish(void* i) noexcept {
        T* self = static_cast<T*>(i);
        if constexpr (requires { self->publish(); })
            return guard(self, [self] { return self->publish(); });
        else
            return BP_OK;
    }
    static bp_status consume(void* i, const bp_fact* fact) noexcept {
        T* self = static_cast<T*>(i);
        if constexpr (requires { self->consume(Fact(fact)); })
            return guard(self, [&] { return self->consume(Fact(fact)); });
        else
            return BP_ERR_UNSUPPORTED;
    }
    static void reset(void* i, u32 kind) noexcept {
        [[maybe_unused]] T* self = static_cast<T*>(i);
        if constexpr (requires { self->reset(Reset::kPowerOn); }) self->reset(static_cast<Reset>(kind));
    }
    static void visit_state(void* i, const bp_state_visitor* visitor) noexcept {
        [[maybe_unused]] T* self = static_cast<T*>(i);
        StateVisitor v(visitor);
        if constexpr (requires { self->state(v); }) self->state(v);
    }
    static bp_status restored(void* i) noexcept {
        T* self = static_cast<T*>(i);
        return guard(self, [self] {
            Schema<T> schema(self);
            T::describe(schema);
            if constexpr (requires { self->restored(); })
                return self->restored();
            else
                return bp_status{BP_OK};
        });
    }
    static void connect(void* i) noexcept {
        [[maybe_unused]] T* self = static_cast<T*>(i);
        if constexpr (requires { self->connect(); }) self->connect();
    }
    static void drain(void* i) noexcept {
        [[maybe_unused]] T* self = static_cast<T*>(i);
        if constexpr (requires { self->drain(); }) self->drain();
    }
    static void input(void* i, const uint8_t* data, size_t size) noexcept {
        [[maybe_unused]] T* self = static_cast<T*>(i);
        if constexpr (requires { self->input(data, size); }) self->input(data, size);
    }
    static bp_interface offer(void* i, bp_str id, bp_str name) noexcept {
        Schema<T> schema(static_cast<T*>(i), to_view(id), to_view(name));
        T::describe(schema);
        return schema.found();
    }
    static void plugged(void* i, bp_interface host) noexcept {
        Schema<T> schema(static_cast<T*>(i), std::string_view{}, std::string_view{});
        schema.plug_into(host);
        T::describe(schema);
    }

    static void bind(T* self) {
        Schema<T> schema(self, &self->slot());
        T::describe(schema);
    }
    template <class Function>
    static bp_status guard(T* self, Function function) noexcept {
        try {
            return function();
        } catch (const std::bad_alloc&) {
            return BP_ERR_NO_MEMORY;
        } catch (const std::exception& e) {
            return self->slot().core().fail(self->slot().self(), BP_ERR_STATE, to_bp(e.what()));
        }
    }
    static constexpr u32 state_version() {
        if constexpr (requires { T::kStateVersion; })
            return T::kStateVersion;
        else
            return 1;
    }

    static constexpr bp_device_type value{sizeof(bp_device_type),
                                          {T::kType.data(), T::kType.size()},
                                          state_version(),
                                          describe,
                                          create,
                                          destroy,
                                          start,
                                          stop,
                                          publish,
                                          consume,
                                          reset,
                                          visit_state,
                                          restored,
                                          connect,
                                          drain,
                                          input,
                                          offer,
                                          plugged};
};

}  // namespace backplane
