#include <fcntl.h>
#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "chardev/test_host.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Properties;

TEST_CASE("the slave's name is logged, and bytes go both ways through the link") {
    chardev::Folder folder;
    {
        Bench<PtyChardev> pty(Properties{{"link", folder / "console"}});
        const std::string slave = std::filesystem::read_symlink(folder / "console").string();
        REQUIRE(pty.log.size() == 1);
        CHECK(pty.log[0] == "6: pseudo-terminal " + slave);
        const chardev::Fd fd(::open(slave.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
        chardev::check_echo(pty, fd.get());
    }
    CHECK_FALSE(std::filesystem::is_symlink(folder / "console"));
}
