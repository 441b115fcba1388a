// A device that opens a file
#include <fcntl.h>

#include "backplane/plugin.hpp"

struct OpensFile : backplane::Device<OpensFile> {
    static constexpr std::string_view kType = "wrong.opens-file";
    using Device::Device;
    static void describe(backplane::Schema<OpensFile>& s) { s.doc("A device that opens a file"); }
    bp_status start() { return ::open("/dev/null", O_RDONLY) < 0 ? BP_ERR_IO : BP_OK; }
};

BACKPLANE_PLUGIN("wrong.opens-file", "0.1.0", "Apache-2.0", kDevice, "", OpensFile)
