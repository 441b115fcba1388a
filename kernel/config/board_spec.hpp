// A board as its machine file, the VM file and the command line describe it, with everything merged, chosen and
// substituted: what the machine builder works from. docs/board-authors.md describes the notation.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/types.hpp"
#include "kernel/config/search.hpp"
#include "kernel/config/value.hpp"

namespace backplane::kernel {

// An address space: `io: {kind: ports, bits: 16}`.
struct SpaceSpec {
    enum class Kind { kPorts, kMemory };
    std::string name;
    Position position;
    Kind kind = Kind::kPorts;
    u32 bits = 16;
};

// A named wire and the input lines that hear it: `wire8: [controller.in8, other.in8]`. Sinks are scalars "device.line".
struct WireSpec {
    std::string name;
    Position position;
    std::vector<Value> sinks;
};

// `timer0: {type: timer.example, at: 0x1000, irq: wire8}`. `entries` holds everything but `type`, in the order of the
// file.
struct DeviceSpec {
    std::string name;
    Position position;  // of the name
    std::string type;
    Position type_position;
    std::vector<Value::Entry> entries;

    const Value* find(std::string_view key) const;
};

// `{what: disk.geometry, from: disk0, into: [memory0, firmware]}`. `from` and `into` are device names.
struct PublishSpec {
    Position position;
    Value what, from, into;  // scalars
};

// A setting that the board offers to VM files and the command line.
struct Parameter {
    enum class Type { kString, kNumber, kSize, kDuration, kBool, kEnum, kPath };
    std::string path;  // "drives.first.file"
    Type type = Type::kString;
    std::string doc;
    Position position;                 // of the declaration
    std::vector<std::string> choices;  // enum
    u64 minimum = 0, maximum = ~u64{0};
    std::vector<std::pair<std::string, std::string>> map;  // spellings that stand for another value: auto -> interp
    std::optional<std::string> default_text;
    bool optional = false;

    bool given = false;       // by a VM file or the command line
    bool has_value = false;   // given, or defaulted
    std::string value;        // effective; numbers and sizes as written, paths absolute
    Position value_position;  // where the value was given, or the declaration

    const char* type_name() const;
};

struct Alias {
    std::string name;       // "first"
    std::string parameter;  // "drives.first.file"
};

struct BoardSource;  // the files and settings that a board was read from

struct BoardSpec {
    std::string name, description;
    std::string machine_file;                   // path of the machine file
    std::string vm_file;                        // path of the VM file, or ""
    std::string vm_name;                        // its `name`, or the file's, or ""
    std::vector<std::string> firmware_folders;  // of the VM file, of the machine files, and what these list
    std::vector<std::string> ancestry;          // machine files that this one extends, nearest first

    std::vector<SpaceSpec> spaces;
    Value clock;  // map, or null
    std::vector<WireSpec> lines;
    std::vector<DeviceSpec> devices;
    std::vector<PublishSpec> publish;
    std::vector<Parameter> parameters;
    std::vector<Alias> aliases;

    std::shared_ptr<const BoardSource> source;  // of load_board()

    const Parameter* parameter(std::string_view path) const;
    const DeviceSpec* device(std::string_view name) const;
};

// One override from the command line. `path`: a parameter, an alias, or `devices.NAME.KEY`, `lines.NAME`, `clock.KEY`,
// `spaces.NAME.KEY`.
struct Setting {
    std::string path;
    std::string value;
    std::string option;  // how the user wrote it, for errors: "--set memory=1Z", "--first x.img"
};

struct BoardRequest {
    std::string machine;  // name or path of a machine file; "": what the VM file says
    std::string vm_file;  // name or path; "": none
    std::vector<Setting> settings;
};

BoardSpec load_board(const BoardRequest& request, const SearchPaths& search);

// What load_board() was asked for.
const BoardRequest& request_of(const BoardSpec& board);
// The same board with one parameter (its path or an alias) given otherwise, from what was read then. Throws Error: the
// board was not made by load_board(), has no such parameter, or the value does not fit it.
BoardSpec with_parameter(const BoardSpec& board, const std::string& parameter, const std::string& value,
                         const std::string& option);
// Names what differs between two boards in words, or "": everything but parameters, and but for what devices whose name
// is in `free` are and how they are set up.
std::string board_difference(const BoardSpec& a, const BoardSpec& b, const std::vector<std::string>& free);

}  // namespace backplane::kernel
