#include <fcntl.h>
#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "chardev/test_host.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Properties;

namespace {

// Echoes through the device: what comes in at `fd` goes back out.
template <class Device>
void check_echo(Bench<Device>& device, int fd) {
    const bp_interface i = device.offer(BP_CHARDEV_ID);
    const auto& stream = *static_cast<const bp_chardev*>(i.table);
    chardev::Receiver receiver;
    stream.connect(i.instance, &chardev::Receiver::kTable, &receiver);
    REQUIRE(::write(fd, "echo", 4) == 4);
    REQUIRE(chardev::within_seconds(5, [&] {
        device.run_posted();
        return receiver.got == "echo";
    }));
    CHECK(stream.write(i.instance, reinterpret_cast<const u8*>("back"), 4) == 4);
    CHECK(chardev::read_some(fd, 4) == "back");
}

}  // namespace

TEST_CASE("the text chooses the stream") {
    chardev::Folder folder;
    {
        Bench<HostChardev> device(Properties{{"target", "unix:" + (folder / "socket")}});
        const chardev::Fd fd = chardev::connect_to(folder / "socket");
        check_echo(device, fd.get());
    }
    {
        Bench<HostChardev> device(Properties{{"target", "pty:" + (folder / "console")}});
        const chardev::Fd fd(::open((folder / "console").c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        check_echo(device, fd.get());
    }
    {
        Bench<HostChardev> device(Properties{{"target", "file:" + (folder / "log")}});
        const bp_interface i = device.offer(BP_CHARDEV_ID);
        static_cast<const bp_chardev*>(i.table)->write(i.instance, reinterpret_cast<const u8*>("text"), 4);
    }
    CHECK(chardev::contents(folder / "log") == "text");
    Bench<HostChardev> null;
    const bp_interface i = null.offer(BP_CHARDEV_ID);
    CHECK(static_cast<const bp_chardev*>(i.table)->write(i.instance, reinterpret_cast<const u8*>("text"), 4) == 4);
}

TEST_CASE("other texts are refused with the choices") {
    for (const char* target : {"", "com1", "file:", "unix:", "ptyx"}) {
        testkit::Board board(&DeviceType<HostChardev>::value, {{"target", target}}, {});
        CHECK(board.start() == BP_ERR_INVALID);
        CHECK(board.failure.find("expected null, pty") != std::string::npos);
    }
}
