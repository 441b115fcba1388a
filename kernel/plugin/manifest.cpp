// A bounded reader of ELF files: every offset and size is checked against the file before it is used, nothing is
// mapped, and nothing of the file runs.
#include "kernel/plugin/manifest.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include <nlohmann/json.hpp>

#include "backplane/abi/device.h"
#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"

namespace backplane::kernel {

namespace {

inline constexpr u64 kMaxSections = 4096;
inline constexpr u64 kMaxNames = 4u << 20;
inline constexpr u64 kMaxSymbols = 1u << 20;

class ElfFile {
  public:
    ElfFile(int fd, const std::string& path) : fd_(fd), path_(path) {
        struct stat st {};
        if (::fstat(fd_, &st) != 0) fail(std::string("cannot read: ") + std::strerror(errno));
        if (S_ISDIR(st.st_mode)) fail("is a folder, not a plugin");
        if (!S_ISREG(st.st_mode)) fail("is not a regular file");
        size_ = static_cast<u64>(st.st_size);
        if (size_ == 0) fail("is empty, not a plugin");
        if (size_ > kMaxPluginBytes) fail("too large for a plugin");
        read_header();
        read_sections();
    }

    [[noreturn]] void fail(const std::string& text) const { throw Error(path_ + ": " + text, kExitPlugin); }

    // The one section of this name, or null.
    const Elf64_Shdr* section(std::string_view name) const {
        for (const Elf64_Shdr& s : sections_)
            if (name_at(names_, s.sh_name) == name) return &s;
        return nullptr;
    }

    std::string content(const Elf64_Shdr& s, u64 limit, const char* what) const {
        if (s.sh_type == SHT_NOBITS) fail(std::string("truncated or damaged: ") + what + " has no bytes in the file");
        if (s.sh_size > limit) fail(std::string("truncated or damaged: ") + what + " is too large");
        std::string out(s.sh_size, '\0');
        read(s.sh_offset, out.data(), out.size(), what);
        return out;
    }

    // Whether the dynamic symbol table defines `wanted` as data.
    bool exports(std::string_view wanted) const {
        for (const Elf64_Shdr& s : sections_) {
            if (s.sh_type != SHT_DYNSYM) continue;
            if (s.sh_link >= sections_.size()) fail("truncated or damaged: the symbol table names no strings");
            const std::string strings = content(sections_[s.sh_link], kMaxNames, "the symbol names");
            const std::string symbols = content(s, kMaxSymbols * sizeof(Elf64_Sym), "the symbol table");
            for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= symbols.size(); at += sizeof(Elf64_Sym)) {
                Elf64_Sym symbol;
                std::memcpy(&symbol, symbols.data() + at, sizeof symbol);
                if (symbol.st_shndx != SHN_UNDEF && name_at(strings, symbol.st_name) == wanted)
                    return ELF64_ST_TYPE(symbol.st_info) == STT_OBJECT && symbol.st_size >= sizeof(bp_plugin);
            }
        }
        return false;
    }

  private:
    void read(u64 offset, void* data, u64 size, const char* what) const {
        if (offset > size_ || size > size_ - offset)
            fail(std::string("truncated or damaged: ") + what + " lies beyond its end");
        u64 done = 0;
        while (done < size) {
            const ssize_t n =
                ::pread(fd_, static_cast<char*>(data) + done, size - done, static_cast<off_t>(offset + done));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) fail(std::string("cannot read: ") + std::strerror(errno));
            if (n == 0) fail("truncated while it was read");
            done += static_cast<u64>(n);
        }
    }

    void read_header() {
        char magic[SELFMAG] = {};
        if (size_ >= SELFMAG) read(0, magic, SELFMAG, "the header");
        if (std::memcmp(magic, ELFMAG, SELFMAG) != 0) fail("not an ELF file, so not a plugin");
        if (size_ < sizeof header_) fail("truncated or damaged: shorter than an ELF header");
        read(0, &header_, sizeof header_, "the header");
        if (header_.e_ident[EI_CLASS] != ELFCLASS64 || header_.e_ident[EI_DATA] != ELFDATA2LSB ||
            header_.e_machine != EM_X86_64)
            fail("built for another architecture (ELF machine " + std::to_string(header_.e_machine) +
                 "); this program needs x86-64, 64 bits");
        if (header_.e_type != ET_DYN) fail("not a shared library (ELF type " + std::to_string(header_.e_type) + ")");
        if (header_.e_shentsize != sizeof(Elf64_Shdr)) fail("truncated or damaged: no section table");
    }

    void read_sections() {
        if (header_.e_shnum == 0 || header_.e_shnum > kMaxSections)
            fail("truncated or damaged: no usable section table");
        sections_.resize(header_.e_shnum);
        read(header_.e_shoff, sections_.data(), sections_.size() * sizeof(Elf64_Shdr), "the section table");
        if (header_.e_shstrndx >= sections_.size()) fail("truncated or damaged: sections without names");
        names_ = content(sections_[header_.e_shstrndx], kMaxNames, "the section names");
    }

    static std::string_view name_at(const std::string& strings, u64 offset) {
        if (offset >= strings.size()) return {};
        const std::string_view rest = std::string_view(strings).substr(offset);
        const auto end = rest.find('\0');
        return end == std::string_view::npos ? std::string_view{} : rest.substr(0, end);
    }

    int fd_;
    const std::string& path_;
    u64 size_ = 0;
    Elf64_Ehdr header_{};
    std::vector<Elf64_Shdr> sections_;
    std::string names_;
};

// The manifest's JSON: an object of strings and lists of strings, no deeper.
void parse_text(const ElfFile& elf, Manifest& m) {
    // The parser recurses over nesting; a manifest has two levels.
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < m.text.size(); ++i) {
        const char c = m.text[i];
        if (in_string && c == '\\')
            ++i;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            ++depth;
        else if (!in_string && (c == '}' || c == ']'))
            --depth;
        if (depth > 8) elf.fail("its manifest is nested too deeply");
    }
    const nlohmann::json json = nlohmann::json::parse(m.text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) elf.fail("its manifest is damaged: not a JSON object");
    const auto text = [&](const char* key) {
        const auto it = json.find(key);
        if (it == json.end() || !it->is_string())
            elf.fail(std::string("its manifest is damaged: no text `") + key + "`");
        std::string value = it->get<std::string>();
        if (value.empty() || value.size() > 256)
            elf.fail(std::string("its manifest is damaged: `") + key + "` is empty or too long");
        return value;
    };
    const auto list = [&](const char* key) {
        std::vector<std::string> out;
        const auto it = json.find(key);
        if (it == json.end() || !it->is_array() || it->size() > 1024)
            elf.fail(std::string("its manifest is damaged: no list `") + key + "`");
        for (const auto& item : *it) {
            if (!item.is_string())
                elf.fail(std::string("its manifest is damaged: `") + key + "` holds something else than text");
            out.push_back(item.get<std::string>());
        }
        return out;
    };
    m.id = text("id"), m.version = text("version"), m.licence = text("licence"), m.kind = text("kind");
    m.types = list("types"), m.needs = list("needs");
    static const std::vector<std::string> kKinds = {"device", "backend", "engine", "frontend"};
    bool known = false;
    for (const std::string& kind : kKinds) known = known || kind == m.kind;
    if (!known) elf.fail("its manifest names the unknown kind " + in_ticks(m.kind));
    for (std::size_t i = 0; i < m.types.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (m.types[i] == m.types[j]) elf.fail("its manifest names the type " + in_ticks(m.types[i]) + " twice");
}

}  // namespace

Manifest read_manifest(int fd, const std::string& path) {
    const ElfFile elf(fd, path);
    const Elf64_Shdr* section = elf.section(BP_MANIFEST_SECTION);
    if (!section) elf.fail("not a Backplane plugin: it has no manifest (section " BP_MANIFEST_SECTION ")");
    const std::string bytes = elf.content(*section, kMaxManifestBytes, "its manifest");
    bp_manifest_header header;
    if (bytes.size() < sizeof header) elf.fail("its manifest is damaged: too short");
    std::memcpy(&header, bytes.data(), sizeof header);
    if (std::memcmp(header.magic, BP_MANIFEST_MAGIC, sizeof header.magic) != 0)
        elf.fail("its manifest is damaged: wrong magic");

    Manifest m;
    m.abi_major = header.abi_major, m.abi_minor = header.abi_minor;
    // While the major number is 0, anything may change with the minor one.
    if (header.abi_major != BP_ABI_MAJOR ||
        (BP_ABI_MAJOR == 0 ? header.abi_minor != BP_ABI_MINOR : header.abi_minor > BP_ABI_MINOR))
        elf.fail("built for plugin ABI " + std::to_string(header.abi_major) + "." + std::to_string(header.abi_minor) +
                 ", this program has ABI " + std::to_string(BP_ABI_MAJOR) + "." + std::to_string(BP_ABI_MINOR) +
                 ": build it again");
    if (header.text_size > bytes.size() - sizeof header) elf.fail("its manifest is damaged: shorter than it says");
    m.text = bytes.substr(sizeof header, header.text_size);
    parse_text(elf, m);
    if (!elf.exports(BP_PLUGIN_SYMBOL)) elf.fail("it exports no data symbol `" BP_PLUGIN_SYMBOL "`");
    return m;
}

Manifest read_manifest(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) throw Error(path + ": cannot open: " + std::strerror(errno), kExitPlugin);
    struct Closer {
        int fd;
        ~Closer() { ::close(fd); }
    } closer{fd};
    return read_manifest(fd, path);
}

}  // namespace backplane::kernel
