#include <fcntl.h>
#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "chardev/test_host.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Properties;

TEST_CASE("the text chooses the stream") {
    chardev::Folder folder;
    {
        Bench<HostChardev> device(Properties{{"target", "unix:" + (folder / "socket")}});
        const chardev::Fd fd = chardev::connect_to(folder / "socket");
        chardev::check_echo(device, fd.get());
    }
    {
        Bench<HostChardev> device(Properties{{"target", "pty:" + (folder / "console")}});
        const chardev::Fd fd(::open((folder / "console").c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        chardev::check_echo(device, fd.get());
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
