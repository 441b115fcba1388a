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

TEST_CASE("the slave's name is logged, and bytes go both ways through the link") {
    chardev::Folder folder;
    {
        Bench<PtyChardev> pty(Properties{{"link", folder / "console"}});
        const std::string slave = std::filesystem::read_symlink(folder / "console").string();
        REQUIRE(pty.log.size() == 1);
        CHECK(pty.log[0] == "6: pseudo-terminal " + slave);
        const chardev::Fd fd(::open(slave.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        check_echo(pty, fd.get());
    }
    CHECK_FALSE(std::filesystem::is_symlink(folder / "console"));
}
