// A digest of an image's contents: FNV-1a over 64-bit words in four lanes, holes of the file skipped.
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "model.hpp"

namespace backplane::idrive {

namespace {
constexpr u64 kPrime = 0x100000001b3;

// Sensitive to where the bytes lie, so that a hole and zeros in its place count the same: zero blocks are left out.
void add(std::array<u64, 4>& lanes, u64 offset, const u8* data, std::size_t size) {
    constexpr std::size_t kBlock = 4096;
    for (std::size_t at = 0; at < size; at += kBlock) {
        std::array<u64, kBlock / 8> words{};
        std::memcpy(words.data(), data + at, std::min(kBlock, size - at));
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

u64 Raw::digest() const {
    std::array<u64, 4> lanes{0xcbf29ce484222325, 1, 2, 3};
    std::vector<u8> buffer(1 << 20);
    u64 at = 0;
    while (at < bytes_) {
        const off_t data = ::lseek(file_.get(), static_cast<off_t>(at), SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;  // nothing but a hole
        if (data > static_cast<off_t>(at)) at = static_cast<u64>(data) & ~u64{4095};
        const u64 n = std::min<u64>(buffer.size(), bytes_ - at);
        if (read(at, buffer.data(), n) != 0) break;
        add(lanes, at, buffer.data(), n);
        at += n;
    }
    u64 sum = bytes_;
    for (const u64 lane : lanes) sum = (sum ^ lane) * kPrime;
    return sum;
}

}  // namespace backplane::idrive
