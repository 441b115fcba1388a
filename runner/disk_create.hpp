// Making an image: shared by `disk create` and `disk convert`.
#pragma once

#include <string>

#include "backplane/types.hpp"
#include "image/qcow2/create.hpp"

namespace CLI {
class App;
}

namespace backplane::runner {

struct NewImage {
    std::string format = "qcow2";
    std::string backing, backing_format;
    std::string cluster_size = "64K";
    std::string compression = "zlib";
    std::string version = "3";
    std::string preallocation = "off";
    u32 refcount_bits = 16;
    bool lazy = false;
};
void add_new_image_options(CLI::App& app, NewImage& what);
// Fills the empty file `path`, which will be named `final_path`: relative names and errors go by that. Throws
// kernel::Error and image::Error.
void make_image(const std::string& path, const std::string& final_path, u64 bytes, const NewImage& what);

}  // namespace backplane::runner
