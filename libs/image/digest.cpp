// FNV-1a over 64-bit words in four lanes, holes skipped.
#include <algorithm>
#include <array>
#include <cstring>

#include "image/image.hpp"

namespace backplane::image {

namespace {
constexpr u64 kPrime = 0x100000001b3;
constexpr std::size_t kBlock = 4096;

// Sensitive to where the bytes lie, so that a hole and zeros in its place count the same: zero blocks are left out.
void add(std::array<u64, 4>& lanes, u64 offset, std::span<const u8> data) {
    for (std::size_t at = 0; at < data.size(); at += kBlock) {
        std::array<u64, kBlock / 8> words{};
        std::memcpy(words.data(), data.data() + at, std::min(kBlock, data.size() - at));
        u64 any = 0;
        for (const u64 w : words) any |= w;
        if (any == 0) continue;
        lanes[0] = (lanes[0] ^ (offset + at)) * kPrime;
        for (std::size_t i = 0; i < words.size(); i += 4)
            for (std::size_t lane = 0; lane < 4; ++lane) {
                const u64 mixed = (lanes[lane] ^ words[i + lane]) * kPrime;
                lanes[lane] = mixed ^ (mixed >> 29);
            }
    }
}
}  // namespace

u64 digest(Image& image) {
    std::array<u64, 4> lanes{0xcbf29ce484222325, 1, 2, 3};
    std::vector<u8> buffer(1 << 20);
    const u64 bytes = image.bytes();
    for (u64 at = 0; at < bytes;) {
        Extent e;
        if (image.extent(at, bytes - at, e) != 0) return 0;
        // `at` is always the beginning of a block.
        u64 n = kBlock;
        if (e.kind == Extent::Kind::kData) {
            n = std::min<u64>(buffer.size(), (e.length + kBlock - 1) / kBlock * kBlock);
        } else if (at + e.length >= bytes) {
            break;
        } else if (e.length >= kBlock) {
            at += e.length / kBlock * kBlock;
            continue;
        }
        const auto part = std::span(buffer).first(std::min(n, bytes - at));
        if (image.read(at, part) != 0) return 0;
        add(lanes, at, part);
        at += part.size();
    }
    u64 sum = bytes;
    for (const u64 lane : lanes) sum = (sum ^ lane) * kPrime;
    return sum;
}

}  // namespace backplane::image
