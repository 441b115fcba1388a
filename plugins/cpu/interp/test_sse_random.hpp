// Random operands of the SSE family: numbers near every limit, counts, lanes of edges.
#pragma once

#include <cstring>

#include "sse.hpp"
#include "test_fpu_random.hpp"

namespace backplane::interp::sse_test {

using fpu_test::Random;

inline u32 single(Random& r) {
    const u32 sign = static_cast<u32>(r.bits()) & 0x80000000u;
    const u32 m = static_cast<u32>(r.mantissa() >> 41);
    switch (r.below(12)) {
        case 0: return sign;
        case 1: return sign | m;                                   // denormal
        case 2: return sign | 0x7f800000u;                         // infinity
        case 3: return sign | 0x7f800000u | m;                     // NaN
        case 4: return sign | 0x00800000u | m;                     // smallest normals
        case 5: return sign | 0x7f000000u | m;                     // largest
        case 6: return sign | (r.below(70) + 127 - 35) << 23 | m;  // around one, integer limits
        case 7: return sign | (r.below(40) + 50) << 23 | m;        // products underflow
        case 8: return static_cast<u32>(r.below(100));
        default: return sign | (r.below(8) + 124) << 23 | m;
    }
}
inline u64 wide(Random& r) {
    const u64 sign = r.bits() & 0x8000000000000000ull;
    const u64 m = r.mantissa() >> 12;
    const auto exponent = [](unsigned e) { return static_cast<u64>(e) << 52; };
    switch (r.below(12)) {
        case 0: return sign;
        case 1: return sign | m;
        case 2: return sign | exponent(0x7ff);
        case 3: return sign | exponent(0x7ff) | m;
        case 4: return sign | exponent(1) | m;
        case 5: return sign | exponent(0x7fe) | m;
        case 6: return sign | exponent(1023 - 3 + r.below(70)) | m;    // integer limits
        case 7: return sign | exponent(1023 - 155 + r.below(40)) | m;  // underflow of singles
        case 8: return sign | exponent(500 + r.below(50)) | m;
        case 9: return sign | exponent(1023 + 120 + r.below(12)) | m;  // overflow of singles
        default: return sign | exponent(1020 + r.below(8)) | m;
    }
}
inline void value16(Random& r, u8* p) {
    const unsigned kind = r.below(6);
    for (unsigned n = 0; n < 2; ++n) {
        u64 v = r.bits();
        if (kind < 2) v = wide(r);
        if (kind == 2 || kind == 3) v = single(r) | static_cast<u64>(single(r)) << 32;
        if (kind == 4) {
            constexpr u16 kEdges[] = {0x0000, 0x0001, 0x7f7f, 0x7fff, 0x8000, 0x8080, 0xff00, 0xffff};
            for (unsigned k = 0; k < 4; ++k) {
                const u64 lane = r.chance(60) ? kEdges[r.below(8)] : r.bits() & 0xffffu;
                v = (v & ~(0xffffull << 16 * k)) | lane << 16 * k;
            }
            if (r.chance(30)) v = r.below(70);  // a count
        }
        std::memcpy(p + 8 * n, &v, 8);
    }
}

}  // namespace backplane::interp::sse_test
