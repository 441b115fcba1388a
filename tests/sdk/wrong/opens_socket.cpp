// A back end that does not say that it opens a socket
#include <sys/socket.h>
#include <unistd.h>

#include "backplane/plugin.hpp"

struct OpensSocket : backplane::Device<OpensSocket> {
    static constexpr std::string_view kType = "wrong.opens-socket";
    using Device::Device;
    static void describe(backplane::Schema<OpensSocket>& s) {
        s.doc("A back end that does not say that it opens a socket");
    }
    bp_status start() { return ::close(::socket(AF_INET, SOCK_STREAM, 0)) ? BP_ERR_IO : BP_OK; }
};

BACKPLANE_PLUGIN("wrong.opens-socket", "0.1.0", "Apache-2.0", kBackend, "files,threads", OpensSocket)
