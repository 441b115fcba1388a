#include "kernel/plugin/manifest.hpp"

#include <elf.h>
#include <cstring>

#include <nlohmann/json.hpp>

#include "backplane/abi/device.h"
#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"
#include "kernel/plugin/descriptor.hpp"
#include "kernel/plugin/elf.hpp"

namespace backplane::kernel {

namespace {

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
    if (json.contains("provides")) m.provides = list("provides");
    static const std::vector<std::string> kKinds = {"device", "backend", "engine", "frontend"};
    bool known = false;
    for (const std::string& kind : kKinds) known = known || kind == m.kind;
    if (!known) elf.fail("its manifest names the unknown kind " + in_ticks(m.kind));
    for (std::size_t i = 0; i < m.types.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (m.types[i] == m.types[j]) elf.fail("its manifest names the type " + in_ticks(m.types[i]) + " twice");
}

// Whether the plugin's one symbol is there, as data of at least its size.
bool exports_plugin(ElfFile& elf) {
    for (const ElfSymbol& s : elf.symbols())
        if (s.defined && s.name == BP_PLUGIN_SYMBOL) return s.type == STT_OBJECT && s.size >= sizeof(bp_plugin);
    return false;
}

}  // namespace

Manifest read_manifest(ElfFile& elf) {
    const ElfSection* section = elf.section(BP_MANIFEST_SECTION);
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
    if (!exports_plugin(elf)) elf.fail("it exports no data symbol `" BP_PLUGIN_SYMBOL "`");
    return m;
}

Manifest read_manifest(int fd, const std::string& path) {
    ElfFile elf(fd, path);
    return read_manifest(elf);
}

Manifest read_manifest(const std::string& path) { return read_manifest(Descriptor(path).get(), path); }

}  // namespace backplane::kernel
