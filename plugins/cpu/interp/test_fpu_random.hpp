// Random x87/MMX states and operands, and the conversion between FpuState and
// the host's image. Test support only.
#pragma once

#include <cstdlib>
#include <cstring>
#include <random>

#include "fpu.hpp"
#include "test_fpu_host.hpp"

namespace backplane::interp::fpu_test {

// Cases per instruction; BACKPLANE_RANDOM_CASES overrides it.
inline unsigned random_cases(unsigned standard) {
    const char* text = std::getenv("BACKPLANE_RANDOM_CASES");
    const unsigned long value = text != nullptr ? std::strtoul(text, nullptr, 10) : 0;
    return value != 0 ? static_cast<unsigned>(value) : standard;
}

class Random {
  public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}

    std::uint64_t bits() { return engine_(); }
    unsigned below(unsigned limit) { return static_cast<unsigned>(engine_() % limit); }
    bool chance(unsigned percent) { return below(100) < percent; }

    // Mantissas with few set bits meet ties, exact results and carries.
    std::uint64_t mantissa() {
        switch (below(6)) {
            case 0: return 0;
            case 1: return ~std::uint64_t{0} << below(64);
            case 2: return std::uint64_t{1} << below(64);
            case 3: return bits() << below(64);
            case 4: return ~(bits() >> (below(40) + 24));
            default: return bits();
        }
    }

    Float80 float80() {
        Float80 value{mantissa(), static_cast<std::uint16_t>(bits())};
        const unsigned sign = value.sign_exponent & 0x8000u;
        unsigned exponent = value.sign_exponent & 0x7fffu;
        switch (below(16)) {
            case 0: exponent = 0; break;                              // zero, denormal, pseudo-denormal
            case 1: exponent = 0x7fff; break;                         // infinity, NaN, pseudo-infinity ...
            case 2: break;                                            // any exponent
            case 3: exponent = 1 + below(70); break;                  // near underflow
            case 4: exponent = 0x7ffe - below(70); break;             // near overflow
            case 5: exponent = 16383 - 127 - 30 + below(60); break;   // float underflow
            case 6: exponent = 16383 + 127 - 3 + below(6); break;     // float overflow
            case 7: exponent = 16383 - 1023 - 60 + below(70); break;  // double underflow
            case 8: exponent = 16383 + 1023 - 3 + below(6); break;    // double overflow
            case 9: exponent = 16383 + 10 + below(60); break;         // integer limits
            default: exponent = 16383 - 6 + below(12); break;
        }
        if (!chance(4)) {  // mostly a supported encoding
            if (exponent != 0) value.mantissa |= std::uint64_t{1} << 63;
        }
        if (exponent == 0x7fff && chance(40)) value.mantissa = std::uint64_t{1} << 63;
        value.sign_exponent = static_cast<std::uint16_t>(sign | exponent);
        return value;
    }

    FpuState state(bool all_masked) {
        FpuState fpu;
        for (Float80& reg : fpu.regs) reg = float80();
        if (chance(15)) fpu.regs[below(8)] = fpu.regs[below(8)];
        fpu.cw = static_cast<std::uint16_t>(0x40 | (bits() & 0x1f00));
        fpu.cw = static_cast<std::uint16_t>(fpu.cw | (all_masked ? 0x3f : bits() & 0x3f));
        if (chance(30)) fpu.cw = kFpuControlDefault;
        // An unmasked flag would be a pending exception: the engine's business.
        fpu.sw = static_cast<std::uint16_t>(bits() & (kFpuC0 | kFpuC1 | kFpuC2 | kFpuC3 | kFpuStackFault));
        if (chance(50)) fpu.sw = static_cast<std::uint16_t>(fpu.sw | (bits() & 0x3f & fpu.cw));
        fpu.top = static_cast<std::uint8_t>(below(8));
        fpu.in_use = static_cast<std::uint8_t>(bits());
        if (chance(70)) {  // the usual: a stack of some depth
            const unsigned depth = below(9);
            const unsigned mask = (0xff00u >> depth) & 0xff;  // lowest `depth` from the top
            unsigned in_use = 0;
            for (unsigned n = 0; n < 8; ++n) {
                if ((mask >> (7 - n)) & 1u) in_use |= 1u << ((fpu.top + n) & 7u);
            }
            fpu.in_use = static_cast<std::uint8_t>(in_use);
        }
        fpu.fop = static_cast<std::uint16_t>(bits() & 0x7ff);
        fpu.fip = static_cast<std::uint32_t>(bits());
        fpu.fdp = static_cast<std::uint32_t>(bits());
        return fpu;
    }

    // Memory operands: plausible single, double, extended and integer values.
    void memory(std::uint8_t* bytes, std::size_t size) {
        for (std::size_t n = 0; n + 8 <= size; n += 8) {
            const std::uint64_t word = bits();
            std::memcpy(bytes + n, &word, 8);
        }
        const std::uint64_t m = mantissa();
        std::uint64_t first = bits();
        switch (below(10)) {
            case 0: first = 0; break;
            case 1: first = m & 0x8000000000000000; break;
            case 2: first = (bits() & 0x8000000000000000) | (m >> 12); break;  // double denormal
            case 3: first = (bits() & 0x8000000000000000) | 0x7ff0000000000000 | (m >> 12); break;
            case 4: first = (bits() & 0x80000000) | (m >> 41); break;  // single denormal
            case 5: first = (bits() & 0x80000000) | 0x7f800000 | (m >> 41); break;
            case 6: first = (bits() & 0x80000000) | 0x3f800000 | (m >> 41); break;
            case 7: first = (bits() & 0x8000000000000000) | 0x3ff0000000000000 | (m >> 12); break;
            default: break;
        }
        std::memcpy(bytes, &first, 8);
        if (chance(50)) {  // packed decimal digits
            for (unsigned n = 0; n < 10; ++n) bytes[n] = static_cast<std::uint8_t>(below(10) << 4 | below(10));
            bytes[9] = static_cast<std::uint8_t>(chance(50) ? 0x80 : 0);
        } else if (chance(30)) {
            const Float80 value = float80();
            std::memcpy(bytes, &value.mantissa, 8);
            std::memcpy(bytes + 8, &value.sign_exponent, 2);
        }
    }

  private:
    std::mt19937_64 engine_;
};

inline FsaveImage to_image(const FpuState& fpu) {
    FsaveImage image{};
    image.cw = fpu.cw;
    image.sw = fpu.status_word();
    image.tag = fpu.tag_word();
    image.fip = fpu.fip;
    image.fcs = fpu.fcs;
    image.fop = fpu.fop;
    image.fdp = fpu.fdp;
    image.fds = fpu.fds;
    for (unsigned i = 0; i < 8; ++i) {
        const Float80& reg = fpu.regs[(fpu.top + i) & 7u];
        std::memcpy(image.stack[i], &reg.mantissa, 8);
        std::memcpy(image.stack[i] + 8, &reg.sign_exponent, 2);
    }
    return image;
}

// Guest memory for a handler: a byte buffer at address `base`.
struct Buffer {
    std::uint8_t bytes[256] = {};
    std::uint32_t base = 0;
    unsigned writes = 0;

    template <typename T>
    static T read(void* ctx, std::uint64_t address) {
        auto* self = static_cast<Buffer*>(ctx);
        T value{};
        const std::uint32_t offset = address - self->base;
        if (offset + sizeof(T) <= sizeof self->bytes) std::memcpy(&value, self->bytes + offset, sizeof(T));
        return value;
    }
    template <typename T>
    static void write(void* ctx, std::uint64_t address, T value) {
        auto* self = static_cast<Buffer*>(ctx);
        const std::uint32_t offset = address - self->base;
        if (offset + sizeof(T) <= sizeof self->bytes) std::memcpy(self->bytes + offset, &value, sizeof(T));
        ++self->writes;
    }
    FpuMem mem() {
        return {this,
                &read<std::uint16_t>,
                &read<std::uint32_t>,
                &read<std::uint64_t>,
                &write<std::uint16_t>,
                &write<std::uint32_t>,
                &write<std::uint64_t>};
    }
};

}  // namespace backplane::interp::fpu_test
