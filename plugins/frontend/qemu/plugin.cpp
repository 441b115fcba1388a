// QEMU's command line for Backplane: a plugin without devices.
#include <exception>
#include <string>
#include <vector>

#include "backplane/command_line.hpp"
#include "import.hpp"
#include "translator.hpp"

namespace backplane::qemu {
namespace {

void send(const Result& result, const bp_command_line_sink& sink) {
    for (const std::string& w : result.warnings) sink.warning(sink.self, to_bp(w));
    if (!result.print.empty()) return sink.option(sink.self, to_bp("print"), to_bp(result.print));
    if (result.only_machine) sink.option(sink.self, to_bp("print-machine"), to_bp(""));
    for (const auto& [name, value] : result.run) sink.option(sink.self, to_bp(name), to_bp(value));
    sink.machine(sink.self, to_bp(result.machine));
}

// No exception crosses the line.
bp_status guarded(const bp_command_line_sink& sink, const auto& work) {
    try {
        send(work(), sink);
        return BP_OK;
    } catch (const std::exception& e) {
        sink.error(sink.self, to_bp(std::string_view(e.what())));
        return BP_ERR_INVALID;
    }
}

constexpr bp_command_line kCommandLine{
    sizeof(bp_command_line),
    to_bp("qemu"),
    to_bp("QEMU's options, as far as they are served"),
    [](bp_str program) { return is_program(to_view(program)) ? 1 : 0; },
    [](bp_str program, const bp_str* arguments, uint32_t count, const bp_command_line_sink* sink) {
        return guarded(*sink, [&] {
            std::vector<std::string> words;
            std::string title = "backplane qemu";
            for (uint32_t i = 0; i < count; ++i) {
                words.emplace_back(to_view(arguments[i]));
                if (!words.back().ends_with("-print-yaml")) title += " " + words.back();
            }
            return Translator(false).translate(read_arguments(words), title);
        });
    },
    [](bp_str path, bp_str contents) {
        try {
            return format_of(to_view(path), to_view(contents)) == Format::kNone ? 0 : 1;
        } catch (const std::exception&) {
            return 0;
        }
    },
    [](bp_str path, bp_str contents, const bp_command_line_sink* sink) {
        return guarded(*sink, [&] { return import_file(std::string(to_view(path)), to_view(contents)); });
    }};

}  // namespace
}  // namespace backplane::qemu

BACKPLANE_COMMAND_LINE_PLUGIN("frontend.qemu", "0.1.0", "Apache-2.0", "files", backplane::qemu::kCommandLine)
