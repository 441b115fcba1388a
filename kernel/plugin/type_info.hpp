// What a device type declares about itself in describe(), copied into the kernel's own structs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/abi/device.h"
#include "backplane/types.hpp"

namespace backplane::kernel {

struct PropertyInfo {
    u32 kind = 0;  // BP_PROPERTY_*
    std::string name, doc;
    std::optional<std::string> default_text;  // none: required
    std::vector<std::string> choices;
    u64 minimum = 0, maximum = ~u64{0};

    bool required() const { return !default_text; }
    const char* kind_name() const;  // "number", "size" ...
};

// A line or a bundle. `first` is the index of its first line among the inputs (or outputs) of the type.
struct LineInfo {
    std::string name, doc;
    u32 first = 0;
    u32 count = 1;
    void (*changed)(void* instance, u32 line, int level) = nullptr;

    std::string line_name(u32 line) const { return count == 1 ? name : name + std::to_string(line); }
};
// One line: `index` among the inputs (outputs) of the type, `line` within its bundle.
struct LineRef {
    const LineInfo* info = nullptr;
    u32 index = 0;
    u32 line = 0;
};

struct RegionInfo {
    u32 kind = 0;  // BP_REGION_*
    std::string name, doc;
    u64 length = 0;
    u32 widths = 0;
    u64 (*read)(void* instance, u64 offset, u32 bytes) = nullptr;
    void (*write)(void* instance, u64 offset, u32 bytes, u64 value) = nullptr;
};

struct TimerInfo {
    std::string name;
    void (*expired)(void* instance, i64 due) = nullptr;
};

struct LinkInfo {
    std::string name, doc, interface_id;
    bool optional = false;
};

struct BusInfo {
    std::string name, doc, child_interface_id, host_interface_id;
    bp_status (*attach)(void* instance, bp_str address, bp_str child_name, bp_interface child,
                        bp_interface* host) = nullptr;
};

struct PlugInfo {
    std::string child_interface_id, host_interface_id;
};

struct OfferInfo {
    std::string interface_id, name;
};

struct FactUseInfo {
    std::string what, doc;
    bool publishes = false;
    bool must_consume = false;
};

struct TraceInfo {
    std::string name, doc;
};

struct TypeInfo {
    std::string name;  // "timer.example"
    std::string doc;
    std::string plugin_id;    // "timer/example"; "" for a type registered in process
    std::string plugin_file;  // path of the .so, or ""
    std::string plugin_version;
    std::vector<std::string> needs;  // of the plugin's manifest
    bool backend = false;            // of a back end or front end: on the host's side
    bool frontend = false;           // of a front end: may command the machine
    const bp_device_type* abi = nullptr;

    std::vector<PropertyInfo> properties;
    std::vector<LineInfo> inputs, outputs;
    u32 input_count = 0, output_count = 0;  // lines, bundles counted in full
    std::vector<RegionInfo> regions;
    std::vector<TimerInfo> timers;
    std::vector<LinkInfo> links;
    std::vector<BusInfo> buses;
    std::vector<PlugInfo> plugs;
    std::vector<OfferInfo> offers;
    std::vector<FactUseInfo> facts;
    std::vector<TraceInfo> traces;

    // Index of the item, or nullopt.
    std::optional<u32> property(std::string_view name) const;
    std::optional<u32> region(std::string_view name) const;
    std::optional<u32> link(std::string_view name) const;
    std::optional<u32> bus(std::string_view name) const;
    // By full name: "ir8", "intr".
    std::optional<LineRef> input(std::string_view name) const;
    std::optional<LineRef> output(std::string_view name) const;
    bool offers_interface(std::string_view id) const;  // by offer() or plug()
};

// Runs describe() and checks what it says (sizes, counts, duplicate names, defaults). Throws Error naming type and
// file.
TypeInfo describe_type(const bp_device_type* type, const std::string& plugin_file);

}  // namespace backplane::kernel
