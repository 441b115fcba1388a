#include <catch2/catch.hpp>

#include "backplane/testkit/bench.hpp"
#include "chardev/test_host.hpp"
#include "model.hpp"

using namespace backplane;
using testkit::Bench;
using testkit::Properties;

TEST_CASE("what the device writes is in the file when the machine has stopped") {
    chardev::Folder folder;
    const std::string text = "what the guest prints\n";
    for (const bool append : {false, true}) {
        Bench<FileChardev> file(Properties{{"path", folder / "log"}, {"append", append ? "true" : "false"}});
        const bp_interface i = file.offer(BP_CHARDEV_ID);
        CHECK(static_cast<const bp_chardev*>(i.table)->write(i.instance, reinterpret_cast<const u8*>(text.data()),
                                                             static_cast<u32>(text.size())) == text.size());
    }
    CHECK(chardev::contents(folder / "log") == text + text);
}

TEST_CASE("a path that cannot be written fails by name") {
    testkit::Board board(&DeviceType<FileChardev>::value, {{"path", "/nonexistent/log"}}, {});
    CHECK(board.start() == BP_ERR_IO);
    CHECK(board.failure.find("/nonexistent/log") != std::string::npos);
}
