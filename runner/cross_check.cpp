#include "runner/cross_check.hpp"

#include <filesystem>

#include "kernel/config/convert.hpp"
#include "kernel/config/value.hpp"

namespace backplane::runner {

namespace {

constexpr const char* kFile = "engines/known-differences.yaml";  // beside the folder of machines

kernel::KnownDifference difference(const kernel::Value& entry) {
    kernel::KnownDifference known;
    bool reason = false;
    for (const auto& e : kernel::to_map(entry, "a known difference").entries()) {
        if (e.key == "engine")
            known.engine = kernel::to_text(e.value, "`engine`");
        else if (e.key == "field")
            known.field = kernel::to_text(e.value, "`field`");
        else if (e.key == "mask")
            known.mask = kernel::to_number(e.value, "`mask`", 1);
        else if (e.key == "reason")
            reason = !kernel::to_text(e.value, "`reason`").empty();
        else
            throw kernel::Error(e.position, "a known difference has `engine`, `field`, `mask` and `reason`, not " +
                                                kernel::in_ticks(e.key));
    }
    if (known.engine.empty() || known.field.empty() || !reason)
        throw kernel::Error(entry.position(), "a known difference needs `engine`, `field` and `reason`");
    return known;
}

}  // namespace

kernel::CrossCheckOptions parse_cross_check(const std::string& text, const kernel::SearchPaths& search) {
    kernel::CrossCheckOptions options;
    const auto comma = text.find(',');
    const auto block = kernel::parse_number(text.substr(0, comma));
    if (!block || *block == 0 || *block > 1'000'000'000 || (comma != std::string::npos && comma + 1 == text.size()))
        throw kernel::Error(
            "--cross-check " + text +
            ": expected a number of instructions and perhaps an engine, such as 10_000 or 10_000,interp");
    options.block = *block;
    if (comma != std::string::npos) options.engine = text.substr(comma + 1);
    for (const std::string& folder : search.machines) {
        const std::filesystem::path path = std::filesystem::path(folder);
        if (path.filename() != "machines") continue;
        const std::string file = (path.parent_path() / kFile).string();
        std::error_code error;
        if (!std::filesystem::exists(file, error)) continue;
        const kernel::Value known = kernel::read_yaml_file(file);
        for (const kernel::Value* entry : known.as_list()) options.known.push_back(difference(*entry));
        break;
    }
    return options;
}

}  // namespace backplane::runner
