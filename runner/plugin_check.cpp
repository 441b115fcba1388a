// backplane plugin check: every case of the test kit's conformance check for the types of a plugin file. Nothing of the
// plugin runs in this process: each case has one of its own.
#include "runner/plugin_check.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "backplane/testkit/conformance.hpp"
#include "backplane/testkit/plugin_file.hpp"
#include "kernel/config/convert.hpp"
#include "runner/options.hpp"

namespace backplane::runner {

namespace {

namespace kit = testkit;

struct CheckOptions {
    std::string file, type;
    std::vector<std::string> sets, links, cases;
    u64 accesses = 1'000'000, seed = 1;
    double patience = kit::kPatience;
};

constexpr const char* kUnload = "unload";
constexpr const char* kKernel = "kernel";

std::vector<std::string> case_names() {
    std::vector<std::string> out;
    for (const kit::ConformanceCase& c : kit::kConformanceCases) out.emplace_back(c.name);
    out.insert(out.end(), {kUnload, kKernel});
    return out;
}

// How many times a plugin is loaded and unloaded, from the number of accesses.
u64 load_cycles(u64 accesses) { return std::clamp<u64>(accesses / 200, 100, 1000); }

struct Count {
    int run = 0, failed = 0;
};

const kit::Verdict& report(const char* name, const kit::Verdict& v, Count& count) {
    const char* words[] = {"ok", "FAILED: ", "left out: "};
    std::printf("  %-15s %s%s\n", name, words[static_cast<int>(v.kind)], v.reason.c_str());
    std::fflush(stdout);
    count.run += v.kind != kit::Verdict::Kind::kSkipped, count.failed += v.failed();
    return v;
}

kit::Properties properties_of(const CheckOptions& options) {
    kit::Properties out;
    for (const std::string& set : options.sets) {
        const auto equals = set.find('=');
        if (equals == std::string::npos || equals == 0)
            throw kernel::Error("--set needs PROPERTY=VALUE, not " + kernel::in_ticks(set), kernel::kExitConfig);
        out.emplace_back(set.substr(0, equals), set.substr(equals + 1));
    }
    return out;
}

// What the file itself is: it loads and agrees with its manifest.
kit::Verdict check_load(const CheckOptions& options, const kernel::Manifest& manifest) {
    return kit::run_case([&](kit::Case& check) {
        check.doing("dlopen()");
        const kit::PluginFile file(options.file);
        check.require(file.types().count == manifest.types.size(), "its manifest and its code list different types");
        for (u32 i = 0; i < file.types().count; ++i)
            check.require(to_view(file.types().types[i]->type) == manifest.types[i],
                          "its manifest and its code list different types");
    });
}

// Whether one of the types has each property that is set, and each link that is chosen.
kit::Verdict check_names(const CheckOptions& options, const kit::Properties& given) {
    return kit::run_case([&](kit::Case& check) {
        const kit::PluginFile file(options.file);
        for (const auto& [name, unused] : given) {
            bool known = false;
            for (u32 i = 0; i < file.types().count; ++i)
                for (const auto& p : kit::declare(file.types().types[i]).properties) known = known || p.name == name;
            check.require(known, "no type of " + options.file + " has the property " + kernel::in_ticks(name));
        }
        for (const std::string& name : options.links) {
            bool known = false;
            for (u32 i = 0; i < file.types().count; ++i)
                for (const auto& l : kit::declare(file.types().types[i]).links)
                    known = known || (l.name == name && l.optional);
            check.require(known, "no type of " + options.file + " has an optional link " + kernel::in_ticks(name));
        }
    });
}

void check_type(const CheckOptions& options, const kernel::Manifest& manifest, const std::string& type,
                const kit::Properties& given, Count& count) {
    const kit::TemporaryFolder folder;
    std::printf("%s\n", type.c_str());
    kit::Subject subject;
    subject.rig.folder = folder.path();
    subject.accesses = options.accesses, subject.seed = options.seed;
    subject.backend = manifest.kind == "backend" || manifest.kind == "frontend";
    // In the case's own process: the type, and those properties that it has.
    const auto prepared = [&](const kit::PluginFile& file, kit::Case& check) {
        kit::Subject s = subject;
        s.type = file.type(type);
        check.require(s.type, "its code has no such type");
        for (const auto& item : given)
            for (const auto& p : kit::declare(s.type).properties)
                if (p.name == item.first) s.rig.properties.push_back(item);
        s.rig.links = options.links;
        return s;
    };
    const auto wanted = [&](const char* name) {
        return options.cases.empty() ||
               std::find(options.cases.begin(), options.cases.end(), name) != options.cases.end();
    };
    for (const kit::ConformanceCase& c : kit::kConformanceCases) {
        if (!wanted(c.name)) continue;
        const kit::Verdict v = kit::run_case(
            [&](kit::Case& check) {
                const kit::PluginFile file(options.file);
                c.run(prepared(file, check), check);
            },
            options.patience);
        if (report(c.name, v, count).failed() && c.run == kit::check_place) return;
    }
    if (wanted(kUnload))
        report(kUnload,
               kit::run_case(
                   [&](kit::Case& check) {
                       kit::Subject s;
                       {
                           const kit::PluginFile file(options.file);
                           s = prepared(file, check);
                       }
                       kit::check_unload(options.file, type, s, load_cycles(options.accesses), check);
                   },
                   options.patience),
               count);
    if (wanted(kKernel))
        report(kKernel,
               kit::run_case(
                   [&](kit::Case& check) {
                       kernel::PluginRegistry registry;
                       registry.add_file(options.file);
                       check.doing("the kernel reading the declaration");
                       registry.type(type);
                   },
                   options.patience),
               count);
}

int check(const CheckOptions& options) {
    const kernel::Manifest manifest = kernel::read_manifest(options.file);
    std::vector<std::string> types = manifest.types;
    if (!options.type.empty()) {
        if (std::find(types.begin(), types.end(), options.type) == types.end())
            throw kernel::Error(options.file + " has no type " + kernel::in_ticks(options.type) +
                                    kernel::did_you_mean(options.type, types) + "; it has " + kernel::list_of(types),
                                kernel::kExitConfig);
        types = {options.type};
    }
    const kit::Properties given = properties_of(options);
    std::printf("%s %s (%s), %s\n", manifest.id.c_str(), manifest.version.c_str(), manifest.kind.c_str(),
                options.file.c_str());
    Count count;
    if (report("load", check_load(options, manifest), count).failed()) return kernel::kExitPlugin;
    if (const kit::Verdict v = check_names(options, given); v.failed())
        throw kernel::Error(v.reason, kernel::kExitConfig);
    for (const std::string& type : types) check_type(options, manifest, type, given, count);
    if (count.failed)
        std::printf("%d of %d cases failed\n", count.failed, count.run);
    else
        std::printf("all %d cases passed\n", count.run);
    return count.failed ? kernel::kExitFailure : 0;
}

}  // namespace

void add_plugin_check(CLI::App& plugin, int& code) {
    auto options = std::make_shared<CheckOptions>();
    CLI::App* sub = plugin.add_subcommand("check", "whether the devices of a plugin file keep the rules; runs them");
    sub->add_option("file", options->file, "the .so file")->required();
    sub->add_option("--type", options->type, "only this type of the plugin")->type_name("TYPE");
    sub->add_option("--set", options->sets, "value of a property; {folder} in it is an empty folder of the check's own")
        ->type_name("PROPERTY=VALUE");
    sub->add_option("--link", options->links, "of its optional links, only this one is joined; may be repeated")
        ->type_name("LINK");
    sub->add_option("--accesses", options->accesses, "random accesses of the longest case (default 1000000)")
        ->type_name("N")
        ->check(CLI::Range(u64{1}, u64{1} << 40));
    sub->add_option("--seed", options->seed, "where the random numbers start (default 1)")->type_name("N");
    sub->add_option("--case", options->cases, "only this case; may be repeated")
        ->type_name("NAME")
        ->check(CLI::IsMember(case_names()));
    sub->add_option("--patience", options->patience, "processor time that one action may take (default 30)")
        ->type_name("SECONDS")
        ->check(CLI::PositiveNumber);
    sub->callback([options, &code] { code = check(*options); });
}

}  // namespace backplane::runner
