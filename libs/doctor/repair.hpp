// Changes of a disk that the doctor offers: planned as whole sectors, so that they can be shown, journalled and undone.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "layout.hpp"

namespace backplane::doctor {

enum class Fix : std::uint8_t {
    kBpb,     // heads and sectors per track in the boot sector and its copy
    kHidden,  // hidden sectors in the boot sector and its copy
    kTable    // cylinder, head and sector of all entries of the master boot record
};
std::string_view name(Fix fix);  // "bpb", "hidden", "table"
std::optional<Fix> fix_of(std::string_view name);

struct Write {
    std::uint64_t lba = 0;
    std::string what;  // "boot sector of partition 1"
    Sector before{}, after{};
};

struct Plan {
    std::vector<Write> writes;         // none: nothing has to change
    std::vector<std::string> changes;  // for people: "boot sector of partition 1 (sector 63): heads 16 -> 255"
    std::string refused;               // why it cannot be done; then there are no writes
};

// `partition`: its number; none: the one that is started. `target`: the geometry that boot sector and table shall have.
Plan plan(const Layout& layout, const geometry::Reader& reader, const std::set<Fix>& fixes,
          std::optional<unsigned> partition, const Tracks& target);

// The disk as it would be after the writes.
geometry::Reader after(const geometry::Reader& reader, const std::vector<Write>& writes);

}  // namespace backplane::doctor
