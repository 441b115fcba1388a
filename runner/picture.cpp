#include "runner/picture.hpp"

#include <png.h>

#include <cstring>
#include <fstream>

namespace backplane::runner {

namespace {

std::string png_bytes(const Picture& picture, const std::string& rgb) {
    png_image image;
    std::memset(&image, 0, sizeof image);
    image.version = PNG_IMAGE_VERSION;
    image.width = picture.width, image.height = picture.height;
    image.format = PNG_FORMAT_RGB;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    std::string bytes(size, '\0');
    if (!png_image_write_to_memory(&image, bytes.data(), &size, 0, rgb.data(), 0, nullptr)) size = 0;
    bytes.resize(size);
    return bytes;
}

}  // namespace

std::string write_picture(const std::string& path, const Picture& picture, PictureFormat format) {
    std::string bytes;
    bytes.reserve(picture.pixels.size() * 3);
    for (const std::uint32_t p : picture.pixels)
        bytes += {static_cast<char>(p >> 16), static_cast<char>(p >> 8), static_cast<char>(p)};
    if (format == PictureFormat::kPng) {
        bytes = png_bytes(picture, bytes);
        if (bytes.empty()) return path + ": the picture cannot be written as PNG";
    } else {
        bytes = "P6\n" + std::to_string(picture.width) + " " + std::to_string(picture.height) + "\n255\n" + bytes;
    }
    std::ofstream out(path, std::ios::binary);
    out << bytes;
    out.close();
    return out ? "" : path + ": cannot be written";
}

}  // namespace backplane::runner
