// A device that writes a file by the C++ library
#include <filesystem>
#include <fstream>

#include "backplane/plugin.hpp"

struct WritesStream : backplane::Device<WritesStream> {
    static constexpr std::string_view kType = "wrong.writes-stream";
    using Device::Device;
    static void describe(backplane::Schema<WritesStream>& s) {
        s.doc("A device that writes a file by the C++ library");
    }
    bp_status start() {
        std::ofstream("/tmp/wrong") << std::filesystem::current_path();
        return BP_OK;
    }
};

BACKPLANE_PLUGIN("wrong.writes-stream", "0.1.0", "Apache-2.0", kDevice, "", WritesStream)
