// Stand-ins for what people touch and see: keyboard, mouse, display, power button. And users of those of a device.
#pragma once

#include "backplane/abi/backend.h"
#include "backplane/abi/power.h"
#include "backplane/testkit/standin.hpp"

namespace backplane::testkit {

// All four as devices, for a front end under test.
class ConsoleStandin : public Standin {
  public:
    using Standin::Standin;
    template <class Table>
    class As;
    static constexpr u32 kWidth = 64, kHeight = 32;

  protected:
    static ConsoleStandin& at(void* i) { return *static_cast<ConsoleStandin*>(i); }
    static const bp_keyboard keyboard;
    static const bp_mouse mouse;
    static const bp_display display;
    static const bp_power power;
    static const void* table_of(const bp_keyboard*) { return &keyboard; }
    static const void* table_of(const bp_mouse*) { return &mouse; }
    static const void* table_of(const bp_display*) { return &display; }
    static const void* table_of(const bp_power*) { return &power; }
};

inline const bp_keyboard ConsoleStandin::keyboard{sizeof(bp_keyboard), [](void* i, u32 code, int down) {
                                                      at(i).note("key %x %d", code, down != 0);
                                                      return at(i).random_.one_in(8) ? 0 : 1;
                                                  }};

inline const bp_mouse ConsoleStandin::mouse{sizeof(bp_mouse), [](void* i, i32 dx, i32 dy, i32 wheel, u32 buttons) {
                                                at(i).note("mouse %d %d %d %x", dx, dy, wheel, buttons);
                                            }};

inline const bp_display ConsoleStandin::display{sizeof(bp_display),
                                                [](void*, bp_display_size* out) {
                                                    *out = {out->size, 0, 0, kWidth, kHeight};
                                                },
                                                [](void*, char*, size_t) { return size_t{0}; },
                                                [](void*, u32* pixels, u32 stride) {
                                                    for (u32 y = 0; y < kHeight; ++y)
                                                        std::fill_n(pixels + u64{y} * stride, kWidth, y);
                                                }};

inline const bp_power ConsoleStandin::power{sizeof(bp_power), [](void* i) {
                                                at(i).note("power button");
                                                return 1;
                                            }};

template <class Table>
class ConsoleStandin::As : public ConsoleStandin {
  public:
    using ConsoleStandin::ConsoleStandin;
    bp_interface interface() override {
        return {table_of(static_cast<const Table*>(nullptr)), static_cast<ConsoleStandin*>(this)};
    }
};

class KeyboardUser : public Standin {
  public:
    using Standin::Standin;
    void act(Random& random) override {
        if (!met()) return;
        const u32 code =
            random.one_in(16) ? static_cast<u32>(random.next()) : random.small(0x80) | random.small(2) << 8;
        const int taken = table<bp_keyboard>().key(device_.instance, code, random.small(2) != 0);
        note("key %x: %d", code, taken);
    }
};

class MouseUser : public Standin {
  public:
    using Standin::Standin;
    void act(Random& random) override {
        if (!met()) return;
        const auto step = [&random] {
            return random.one_in(16) ? static_cast<i32>(random.value(4)) : static_cast<i32>(random.small(64)) - 32;
        };
        const i32 dx = step(), dy = step(), wheel = random.one_in(4) ? step() : 0;
        table<bp_mouse>().move(device_.instance, dx, dy, wheel, random.one_in(16) ? ~u32{0} : random.small(32));
    }
};

class DisplayUser : public Standin {
  public:
    using Standin::Standin;
    void act(Random& random) override {
        if (met() && random.one_in(32)) look(random.one_in(2) ? random.below(100) : 65536, random.small(3));
    }
    void sweep() override {
        if (met()) look(65536, 0);
    }

  private:
    static constexpr u32 kMost = 16384;
    void look(u64 capacity, u32 gap) {
        const bp_display& display = table<bp_display>();
        bp_display_size size{};
        size.size = sizeof size;
        display.dimensions(device_.instance, &size);
        if (!size.width || !size.height || size.width > kMost || size.height > kMost)
            blame("its picture has " + std::to_string(size.width) + " x " + std::to_string(size.height) + " pixels");
        std::string text(capacity, '\0');
        const size_t length = display.text(device_.instance, text.data(), text.size());
        if (length > text.size()) blame("its text is longer than the space for it");
        if (!size.text_columns && length) blame("it shows text in a graphics mode");
        const u32 stride = size.width + gap;
        std::vector<u32> pixels(u64{stride} * size.height);
        display.render(device_.instance, pixels.data(), stride);
        note("picture %u x %u, checksum %llx, text checksum %llx", size.width, size.height,
             static_cast<unsigned long long>(board_.observe ? checksum(pixels.data(), pixels.size() * 4) : 0),
             static_cast<unsigned long long>(checksum(text.data(), length)));
    }
};

class PowerUser : public Standin {
  public:
    using Standin::Standin;
    void act(Random&) override {
        if (met()) note("power button: %d", table<bp_power>().press(device_.instance));
    }
};

}  // namespace backplane::testkit
