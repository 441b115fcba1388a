// What INT 13h says about a disk, by the way the disk is attached and the program that runs it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "geometry/geometry.hpp"

namespace backplane::doctor {

struct Attachment {
    std::string_view id;    // stable, for programs
    std::string_view name;  // for people
    geometry::Geometry geometry{};
};

// Every way, the one that the owner asked for first: `input` as the machine would get it.
std::vector<Attachment> attachments(const geometry::Input& input);

}  // namespace backplane::doctor
