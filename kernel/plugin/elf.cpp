#include "kernel/plugin/elf.hpp"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

#include "kernel/config/error.hpp"

namespace backplane::kernel {

ElfFile::ElfFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {
    struct stat st {};
    if (::fstat(fd_, &st) != 0) fail(std::string("cannot read: ") + std::strerror(errno));
    if (S_ISDIR(st.st_mode)) fail("is a folder, not a plugin");
    if (!S_ISREG(st.st_mode)) fail("is not a regular file");
    size_ = static_cast<u64>(st.st_size);
    if (size_ == 0) fail("is empty, not a plugin");
    if (size_ > kMaxPluginBytes) fail("too large for a plugin");
    read_header();
}

void ElfFile::fail(const std::string& text) const { throw Error(path_ + ": " + text, kExitPlugin); }

void ElfFile::read(u64 offset, void* data, u64 size, const char* what) const {
    if (offset > size_ || size > size_ - offset)
        fail(std::string("truncated or damaged: ") + what + " lies beyond its end");
    u64 done = 0;
    while (done < size) {
        const ssize_t n = ::pread(fd_, static_cast<char*>(data) + done, size - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) fail(std::string("cannot read: ") + std::strerror(errno));
        if (n == 0) fail("truncated while it was read");
        done += static_cast<u64>(n);
    }
}

void ElfFile::read_header() {
    char magic[SELFMAG] = {};
    if (size_ >= SELFMAG) read(0, magic, SELFMAG, "the header");
    if (std::memcmp(magic, ELFMAG, SELFMAG) != 0) fail("not an ELF file, so not a plugin");
    Elf64_Ehdr header{};
    if (size_ < sizeof header) fail("truncated or damaged: shorter than an ELF header");
    read(0, &header, sizeof header, "the header");
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != EM_X86_64)
        fail("built for another architecture (ELF machine " + std::to_string(header.e_machine) +
             "); this program needs x86-64, 64 bits");
    if (header.e_type != ET_DYN) fail("not a shared library (ELF type " + std::to_string(header.e_type) + ")");
    if (header.e_shentsize != sizeof(Elf64_Shdr)) fail("truncated or damaged: no section table");
    if (header.e_shnum == 0 || header.e_shnum > kMaxSections) fail("truncated or damaged: no usable section table");
    read_sections(header.e_shoff, header.e_shnum, header.e_shstrndx);
    if (header.e_phnum == 0) return;
    if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > kMaxSegments)
        fail("truncated or damaged: no usable program headers");
    read_segments(header.e_phoff, header.e_phnum);
}

void ElfFile::read_sections(u64 offset, u64 count, u64 names) {
    std::vector<Elf64_Shdr> table(count);
    read(offset, table.data(), count * sizeof(Elf64_Shdr), "the section table");
    if (names >= count) fail("truncated or damaged: sections without names");
    for (const Elf64_Shdr& s : table)
        sections_.push_back({{}, s.sh_type, s.sh_link, s.sh_addr, s.sh_offset, s.sh_size});
    section_names_ = content(sections_[names], kMaxNames, "the section names");
    for (u64 i = 0; i < count; ++i) sections_[i].name = name_at(section_names_, table[i].sh_name);
}

void ElfFile::read_segments(u64 offset, u64 count) {
    std::vector<Elf64_Phdr> table(count);
    read(offset, table.data(), count * sizeof(Elf64_Phdr), "the program headers");
    for (const Elf64_Phdr& p : table) segments_.push_back({p.p_type, p.p_flags, p.p_vaddr, p.p_offset, p.p_filesz});
}

const ElfSection* ElfFile::section(std::string_view name) const {
    for (const ElfSection& s : sections_)
        if (s.name == name) return &s;
    return nullptr;
}

std::string ElfFile::content(const ElfSection& section, u64 limit, const char* what) const {
    if (section.type == SHT_NOBITS) fail(std::string("truncated or damaged: ") + what + " has no bytes in the file");
    if (section.size > limit) fail(std::string("truncated or damaged: ") + what + " is too large");
    std::string out(section.size, '\0');
    read(section.offset, out.data(), out.size(), what);
    return out;
}

const ElfSection* ElfFile::symbol_table() const {
    for (const ElfSection& s : sections_)
        if (s.type == SHT_DYNSYM) return &s;
    return nullptr;
}

const std::vector<ElfSymbol>& ElfFile::symbols() {
    if (std::exchange(have_symbols_, true)) return symbols_;
    const ElfSection* table = symbol_table();
    if (!table) return symbols_;
    if (table->link >= sections_.size()) fail("truncated or damaged: the symbol table names no strings");
    symbol_names_ = content(sections_[table->link], kMaxNames, "the symbol names");
    const std::string bytes = content(*table, kMaxSymbols * sizeof(Elf64_Sym), "the symbol table");
    for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= bytes.size(); at += sizeof(Elf64_Sym)) {
        Elf64_Sym s;
        std::memcpy(&s, bytes.data() + at, sizeof s);
        const u32 visibility = ELF64_ST_VISIBILITY(s.st_other), binding = ELF64_ST_BIND(s.st_info);
        symbols_.push_back(
            {name_at(symbol_names_, s.st_name), ELF64_ST_TYPE(s.st_info), binding, s.st_shndx != SHN_UNDEF,
             binding != STB_LOCAL && (visibility == STV_DEFAULT || visibility == STV_PROTECTED), s.st_size});
    }
    return symbols_;
}

// Where the loader finds an address in the file.
u64 ElfFile::offset_of(u64 address, const char* what) const {
    for (const ElfSegment& s : segments_)
        if (s.type == PT_LOAD && address >= s.address && address - s.address < s.file_size) {
            const u64 inside = address - s.address;
            if (s.offset <= size_ && inside <= size_ - s.offset) return s.offset + inside;
        }
    fail(std::string("truncated or damaged: ") + what + " is loaded from nowhere");
}

const ElfDynamic& ElfFile::dynamic() {
    if (std::exchange(have_dynamic_, true)) return dynamic_;
    const ElfSegment* segment = nullptr;
    for (const ElfSegment& s : segments_)
        if (s.type == PT_DYNAMIC && !segment) segment = &s;
    if (!segment) fail("truncated or damaged: no dynamic table");
    if (segment->file_size > kMaxDynamicEntries * sizeof(Elf64_Dyn))
        fail("truncated or damaged: the dynamic table is too large");
    std::vector<Elf64_Dyn> entries(segment->file_size / sizeof(Elf64_Dyn));
    read(segment->offset, entries.data(), entries.size() * sizeof(Elf64_Dyn), "the dynamic table");

    std::map<i64, u64> values;  // the loader takes the last of a kind
    std::vector<u64> needed;
    for (const Elf64_Dyn& e : entries) {
        if (e.d_tag == DT_NULL) break;
        if (e.d_tag == DT_NEEDED)
            needed.push_back(e.d_un.d_val);
        else
            values[e.d_tag] = e.d_un.d_val;
    }
    const auto value = [&](i64 tag) {
        const auto it = values.find(tag);
        return it == values.end() ? u64{0} : it->second;
    };
    const ElfSection* table = symbol_table();
    if (!table || table->address != value(DT_SYMTAB) || table->link >= sections_.size() ||
        sections_[table->link].address != value(DT_STRTAB) || table->offset != offset_of(table->address, "a table"))
        fail("truncated or damaged: its section table shows another symbol table than the one that is loaded");
    const u64 length = value(DT_STRSZ);
    if (length > kMaxNames) fail("truncated or damaged: the dynamic names are too large");
    dynamic_names_.resize(length);
    read(offset_of(value(DT_STRTAB), "the dynamic names"), dynamic_names_.data(), length, "the dynamic names");
    for (const u64 at : needed) dynamic_.needed.push_back(name_at(dynamic_names_, at));
    for (const i64 tag : {i64{DT_RPATH}, i64{DT_RUNPATH}})
        if (values.contains(tag)) dynamic_.search_path = name_at(dynamic_names_, value(tag));
    dynamic_.text_relocations = values.contains(DT_TEXTREL) || (value(DT_FLAGS) & DF_TEXTREL);
    dynamic_.no_delete = value(DT_FLAGS_1) & DF_1_NODELETE;
    dynamic_.initialisers = value(DT_INIT_ARRAYSZ) / sizeof(u64);
    return dynamic_;
}

std::string_view ElfFile::name_at(const std::string& strings, u64 offset) {
    if (offset >= strings.size()) return {};
    const std::string_view rest = std::string_view(strings).substr(offset, kMaxSymbolName);
    const auto end = rest.find('\0');
    return end == std::string_view::npos ? std::string_view{} : rest.substr(0, end);
}

}  // namespace backplane::kernel
