// Pictures of the screen as files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace backplane::runner {

struct Picture {
    std::uint32_t width = 0, height = 0;
    std::vector<std::uint32_t> pixels;  // 0x00RRGGBB, row by row
};

enum class PictureFormat { kPpm, kPng };
// Returns an error text, or "".
std::string write_picture(const std::string& path, const Picture& picture, PictureFormat format);

}  // namespace backplane::runner
