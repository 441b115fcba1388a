// backplane cpu: list.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "cpumodel/cpumodel.hpp"
#include "runner/options.hpp"

namespace backplane::runner {

namespace {

// Text in lines of at most 100 characters, each with an indent.
void print_wrapped(const std::string& words) {
    constexpr std::size_t kWidth = 100;
    for (std::size_t at = 0; at < words.size();) {
        std::size_t end = words.size();
        if (end - at > kWidth) end = words.rfind(' ', at + kWidth);
        std::printf("    %s\n", words.substr(at, end - at).c_str());
        at = end + 1;
    }
}

int list(bool names) {
    for (const cpumodel::CpuModel& m : cpumodel::models()) {
        if (names) {
            std::printf("%s\n", std::string(m.name).c_str());
            continue;
        }
        std::printf("%-10s %s (%s)\n", std::string(m.name).c_str(), std::string(m.doc).c_str(),
                    std::string(m.source).c_str());
        print_wrapped(cpumodel::feature_names(m));
    }
    if (!names) std::printf("\nSingle features are switched behind the name: --cpu qemu64,+ssse3,-nx\n");
    return 0;
}

}  // namespace

void add_cpu(CLI::App& app, int& code) {
    CLI::App* sub = app.add_subcommand("cpu", "CPU models: list");
    sub->require_subcommand(1);
    auto names = std::make_shared<bool>(false);
    CLI::App* l = sub->add_subcommand("list", "all CPU models, where their data comes from, and their features");
    l->add_flag("--names", *names, "only the models' names, one a line");
    l->callback([names, &code] { code = list(*names); });
}

}  // namespace backplane::runner
