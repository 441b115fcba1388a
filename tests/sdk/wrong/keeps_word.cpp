// A back end that says what it needs: nothing is wrong with it
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <thread>

#include "backplane/plugin.hpp"

struct KeepsWord : backplane::Device<KeepsWord> {
    static constexpr std::string_view kType = "wrong.keeps-word";
    using Device::Device;
    static void describe(backplane::Schema<KeepsWord>& s) {
        s.doc("A back end that says what it needs: nothing is wrong with it");
    }
    bp_status start() {
        ::close(::open("/dev/null", O_RDONLY));
        ::close(::socket(AF_UNIX, SOCK_STREAM, 0));
        std::thread([] {}).join();
        return BP_OK;
    }
};

BACKPLANE_PLUGIN("wrong.keeps-word", "0.1.0", "Apache-2.0", kBackend, "files,network,threads", KeepsWord)
