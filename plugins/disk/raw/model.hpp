// Raw disk image: a file or block device of the host whose bytes are the medium's bytes. Offers bp.block/1.
#pragma once

#include "image/medium.hpp"

namespace backplane::raw {

class Raw final : public image::ImageDevice<Raw> {
  public:
    static constexpr std::string_view kType = "disk.raw";
    static constexpr std::string_view kFormat = "raw";
    using ImageDevice::ImageDevice;

    static void describe(Schema<Raw>& s) {
        s.doc("raw disk image: a file or block device of the host");
        describe_image(s);
    }
};

}  // namespace backplane::raw
