// Disk image in the format qcow2, versions 2 and 3, with its backing files. Offers bp.block/1.
#pragma once

#include "image/medium.hpp"

namespace backplane::qcow2_disk {

class Qcow2 final : public image::ImageDevice<Qcow2> {
  public:
    static constexpr std::string_view kType = "disk.qcow2";
    static constexpr std::string_view kFormat = "qcow2";
    using ImageDevice::ImageDevice;

    static void describe(Schema<Qcow2>& s) {
        s.doc("qcow2 disk image: grows with its contents, may have backing files and snapshots");
        describe_image(s);
    }
};

}  // namespace backplane::qcow2_disk
