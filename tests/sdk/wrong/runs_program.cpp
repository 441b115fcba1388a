// A back end that runs a program
#include <cstdlib>

#include "backplane/plugin.hpp"

struct RunsProgram : backplane::Device<RunsProgram> {
    static constexpr std::string_view kType = "wrong.runs-program";
    using Device::Device;
    static void describe(backplane::Schema<RunsProgram>& s) { s.doc("A back end that runs a program"); }
    bp_status start() { return std::system("true") ? BP_ERR_IO : BP_OK; }
};

BACKPLANE_PLUGIN("wrong.runs-program", "0.1.0", "Apache-2.0", kBackend, "files,network,threads", RunsProgram)
