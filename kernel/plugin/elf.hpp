// A bounded reader of shared libraries: every offset, size and count is checked against the file before it is used,
// nothing is mapped, and nothing of the file runs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "backplane/types.hpp"

namespace backplane::kernel {

// Limits of the reader.
inline constexpr u64 kMaxPluginBytes = 256u << 20;
inline constexpr u64 kMaxSections = 4096;
inline constexpr u64 kMaxSegments = 256;
inline constexpr u64 kMaxNames = 4u << 20;    // bytes of one string table
inline constexpr u64 kMaxSymbols = 1u << 16;  // dynamic ones
inline constexpr u64 kMaxSymbolName = 16384;  // bytes; a longer one reads as no name
inline constexpr u64 kMaxDynamicEntries = 4096;

struct ElfSection {
    std::string_view name;
    u32 type = 0;  // SHT_*
    u32 link = 0;
    u64 address = 0, offset = 0, size = 0;
};

struct ElfSegment {
    u32 type = 0, flags = 0;  // PT_*, PF_*
    u64 address = 0, offset = 0, file_size = 0;
};

// A symbol of the dynamic table.
struct ElfSymbol {
    std::string_view name;
    u32 type = 0, binding = 0;  // STT_*, STB_*
    bool defined = false;       // by this file; else it is imported
    bool visible = false;       // to other files
    u64 size = 0;
};

// What the dynamic table says to the loader.
struct ElfDynamic {
    std::vector<std::string_view> needed;  // libraries
    std::string_view search_path;          // RUNPATH or RPATH
    bool text_relocations = false;
    bool no_delete = false;  // -z nodelete
    u64 initialisers = 0;    // functions that run when the file is loaded
};

class ElfFile {
  public:
    // Reads headers and section names of an x86-64 shared library. `path` is for errors. All functions throw Error
    // (kExitPlugin) whose text begins with it. Views are valid as long as the ElfFile.
    ElfFile(int fd, std::string path);
    ElfFile(const ElfFile&) = delete;
    ElfFile& operator=(const ElfFile&) = delete;

    [[noreturn]] void fail(const std::string& text) const;
    const std::string& path() const { return path_; }

    const std::vector<ElfSegment>& segments() const { return segments_; }
    // The first section of this name, or null.
    const ElfSection* section(std::string_view name) const;
    // Its bytes; `what` names it in errors.
    std::string content(const ElfSection& section, u64 limit, const char* what) const;

    // The symbols of the first dynamic symbol table; empty if there is none.
    const std::vector<ElfSymbol>& symbols();
    // As the loader finds it, by the program headers. Refuses a file whose section table names another symbol table
    // than the loader's.
    const ElfDynamic& dynamic();

  private:
    void read(u64 offset, void* data, u64 size, const char* what) const;
    void read_header();
    void read_sections(u64 offset, u64 count, u64 names);
    void read_segments(u64 offset, u64 count);
    const ElfSection* symbol_table() const;
    u64 offset_of(u64 address, const char* what) const;
    static std::string_view name_at(const std::string& strings, u64 offset);

    int fd_;
    std::string path_;
    u64 size_ = 0;
    std::vector<ElfSection> sections_;
    std::vector<ElfSegment> segments_;
    std::string section_names_, symbol_names_, dynamic_names_;
    std::vector<ElfSymbol> symbols_;
    ElfDynamic dynamic_;
    bool have_symbols_ = false, have_dynamic_ = false;
};

}  // namespace backplane::kernel
