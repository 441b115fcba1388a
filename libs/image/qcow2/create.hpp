// Making new qcow2 files, checking old ones, and the format's driver.
#pragma once

#include <string>
#include <vector>

#include "image/image.hpp"
#include "image/qcow2/header.hpp"

namespace backplane::image::qcow2 {

struct CreateOptions {
    u64 bytes = 0;
    u32 version = 3;
    unsigned cluster_bits = 16;
    unsigned refcount_order = 4;
    Compression compression = Compression::kZlib;
    bool lazy_refcounts = false;
    std::string backing_file, backing_format;
};

// Text of what cannot be with these options; empty: they are acceptable.
std::string check(const CreateOptions& options);

// Writes an empty image into an empty file. Returns errno; check() has to be happy with the options.
int create(Storage& storage, const CreateOptions& options);

// Gives every cluster of a new image its place. Returns errno.
int preallocate(Storage& storage);

// Where the backing file of an image is: a relative name is meant from the image's folder.
std::string backing_path(const std::string& image, const std::string& name);

// Driver functions.
bool probe(std::span<const u8> head);
std::unique_ptr<Image> open(std::unique_ptr<Storage> storage, const OpenOptions& options, bool probed);

}  // namespace backplane::image::qcow2
