#include "kernel/plugin/lint.hpp"

#include <elf.h>

#include <algorithm>

#include "backplane/abi/device.h"
#include "kernel/config/convert.hpp"
#include "kernel/plugin/descriptor.hpp"
#include "kernel/plugin/elf.hpp"
#include "kernel/plugin/lint_rules.hpp"

namespace backplane::kernel {

namespace {

constexpr std::size_t kMostOfAKind = 50;  // exports that are named one by one
constexpr std::size_t kMostText = 200;    // of a name out of the file

// A name out of the file, fit for a terminal.
std::string clean_name(std::string_view name) {
    std::string out(name.substr(0, kMostText));
    for (char& c : out)
        if (c <= ' ' || c > '~') c = '?';
    if (name.size() > kMostText) out += "...";
    return out.empty() ? "(no name)" : out;
}

class Linter {
  public:
    Linter(ElfFile& elf, LintReport& report) : elf_(elf), report_(report), kind_(kind_bit(report.manifest.kind)) {}

    void run() {
        check_needs();
        check_symbols();
        check_libraries();
        check_segments();
        check_loading();
    }

  private:
    void object(std::string what, std::string why) {
        report_.findings.push_back({std::move(what), std::move(why), false});
    }
    void note(std::string what, std::string why) {
        report_.findings.push_back({std::move(what), std::move(why), true});
    }

    void check_needs() {
        for (const std::string& need : report_.manifest.needs) {
            const u32 bit = need_bit(need);
            needs_ |= bit;
            if (!bit)
                object("needs " + in_ticks(clean_name(need)), "means nothing; known are files, network and threads");
        }
        if (kind_ == kKindDevice && !report_.manifest.needs.empty())
            object("needs", "a plugin of kind device needs nothing of the host; what does is of kind backend");
    }

    void check_symbols() {
        u32 used = 0;
        std::size_t exports = 0;
        for (const ElfSymbol& s : elf_.symbols()) {
            if (s.name.empty()) continue;
            if (s.defined)
                check_defined(s, exports);
            else
                check_import(s, used);
        }
        if (exports > kMostOfAKind)
            object("exports", "and " + std::to_string(exports - kMostOfAKind) + " more, not named here");
        for (const auto& [bit, name] :
             {std::pair{kNeedFiles, "files"}, {kNeedNetwork, "network"}, {kNeedThreads, "threads"}})
            if ((needs_ & bit) && !(used & bit))
                note("needs `" + std::string(name) + "`", "nothing that it imports would need it");
    }

    void check_defined(const ElfSymbol& s, std::size_t& exports) {
        if (s.binding == STB_GNU_UNIQUE)
            object(clean_name(s.name),
                   "is a unique symbol, which keeps the library in memory for ever: it could be neither unloaded nor "
                   "reloaded; compile with -fno-gnu-unique");
        if (!s.visible || s.name == BP_PLUGIN_SYMBOL) return;
        // Only a version of the file's symbols.
        if (s.type == STT_OBJECT && s.size == 0 && s.binding == STB_GLOBAL) return;
        if (++exports <= kMostOfAKind && s.binding != STB_GNU_UNIQUE)
            object(clean_name(s.name), "is exported; a plugin exports " BP_PLUGIN_SYMBOL
                                       " alone, so that plugins never bind to each other's code");
    }

    void check_import(const ElfSymbol& s, u32& used) {
        const auto match = match_import(s.name);
        if (!match) return;
        used |= match->group->needs;
        if (allowed(*match->group, kind_, needs_)) return;
        const std::string what = match->readable.empty()
                                     ? clean_name(s.name)
                                     : std::string(match->readable) + " (" + clean_name(s.name) + ")";
        object(what, objection(*match->group, report_.manifest));
    }

    void check_libraries() {
        for (const std::string_view name : elf_.dynamic().needed) {
            const std::string shown = clean_name(name);
            switch (judge_library(name)) {
                case LibraryVerdict::kRuntime: break;
                case LibraryVerdict::kSanitizer: note(shown, "it was built with a sanitizer"); break;
                case LibraryVerdict::kKernels:
                    object(shown, "belongs to the program, and a plugin must not be tied to its version");
                    break;
                case LibraryVerdict::kOther:
                    if (kind_ == kKindDevice)
                        object(shown,
                               "what a library does is not seen here; a device links the C and C++ run time alone");
                    else
                        note(shown, "what this library does is not looked at");
                    break;
            }
        }
        if (const std::string_view path = elf_.dynamic().search_path; !path.empty())
            note("RUNPATH " + clean_name(path),
                 "libraries are looked for there first, wherever the plugin is installed");
    }

    void check_segments() {
        bool has_stack = false;
        for (const ElfSegment& s : elf_.segments()) {
            has_stack = has_stack || s.type == PT_GNU_STACK;
            if (s.type == PT_GNU_STACK && (s.flags & PF_X)) object("stack", "it would make the stacks executable");
            if (s.type == PT_LOAD && (s.flags & PF_W) && (s.flags & PF_X))
                object("segment", "a part of it is writable and executable at once");
        }
        if (!has_stack) object("stack", "it does not say that its stack need not be executable (no GNU_STACK header)");
    }

    void check_loading() {
        const ElfDynamic& dynamic = elf_.dynamic();
        if (dynamic.text_relocations)
            object("text relocations",
                   "its code is changed when it is loaded; compile all of it as position-independent code");
        if (dynamic.no_delete) object("-z nodelete", "it could be neither unloaded nor reloaded");
        // One belongs to the compiler's start files.
        if (dynamic.initialisers > 1)
            note("initialisers",
                 std::to_string(dynamic.initialisers - 1) +
                     " of them run when it is loaded (objects at namespace scope, constructor functions)");
    }

    ElfFile& elf_;
    LintReport& report_;
    u32 kind_;
    u32 needs_ = 0;
};

}  // namespace

bool LintReport::clean() const {
    return std::all_of(findings.begin(), findings.end(), [](const LintFinding& f) { return f.note; });
}

LintReport lint_plugin(const std::string& path) {
    const Descriptor file(path);
    ElfFile elf(file.get(), path);
    LintReport report;
    report.manifest = read_manifest(elf);
    Linter(elf, report).run();
    return report;
}

}  // namespace backplane::kernel
