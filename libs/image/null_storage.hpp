// A disk with nothing behind it, for measuring and for guests that only want a disk to be there.
#pragma once

#include <memory>

#include "image/storage.hpp"

namespace backplane::image {

// Reads give zeros, writes are dropped. The last part of `path` says how large: "size=1073741824", in bytes, a multiple
// of 512. Throws Error.
std::unique_ptr<Storage> open_null(const std::string& path, bool read_only);

}  // namespace backplane::image
