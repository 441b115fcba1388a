// Descriptions of machines by other programs, brought into the form of options.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "translator.hpp"

namespace backplane::qemu {

// Whether a program of this name takes QEMU's options: kvm, qemu-kvm, qemu-system-x86_64.
bool is_program(std::string_view name);

enum class Format { kNone, kCommandLine, kLibvirt, kVirtualBox, kVmware };
Format format_of(std::string_view path, std::string_view contents);

// What is said, and what has no counterpart among the options.
struct Imported {
    std::vector<Item> items;
    std::vector<std::string> remarks;
};

// Each throws drives::OptionError, which names the file and, where there is one, the line.
Imported read_command_file(const std::string& path, std::string_view contents);
Imported read_libvirt(const std::string& path, std::string_view contents);
Imported read_virtualbox(const std::string& path, std::string_view contents);
Imported read_vmware(const std::string& path, std::string_view contents);

Result import_file(const std::string& path, std::string_view contents);

// A value for "key=value,...".
std::string escaped(std::string_view value);
// A path as seen from the file that names it.
std::string beside(const std::string& file, const std::string& path);

}  // namespace backplane::qemu
