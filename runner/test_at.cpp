#include <catch2/catch.hpp>
#include <string>

#include "kernel/config/error.hpp"
#include "runner/at.hpp"

using namespace backplane;
using namespace backplane::runner;
using Catch::Contains;

TEST_CASE("a point and an action are read") {
    AtAction a = parse_at("icount=1_000_000:save=a:b=c.snapshot");
    CHECK(a.point == AtAction::Point::kCount);
    CHECK(a.count == 1'000'000);
    CHECK(a.what == AtAction::What::kSave);
    CHECK(a.file == "a:b=c.snapshot");
    a = parse_at("icount=0x10:stop");
    CHECK(a.count == 16);
    CHECK(a.what == AtAction::What::kStop);
    CHECK(parse_at("icount=0:quit").what == AtAction::What::kQuit);
    CHECK(parse_at("icount=18446744073709551615:quit").count == ~u64{0});
    a = parse_at("time=2.5s:engine=interp");
    CHECK(a.point == AtAction::Point::kTime);
    CHECK(a.count == 2'500'000'000);
    CHECK(a.what == AtAction::What::kEngine);
    CHECK(a.engine == "interp");
    a = parse_at("end:save=last");
    CHECK(a.point == AtAction::Point::kEnd);
    CHECK(a.file == "last");
}

TEST_CASE("what is wrong with a point or an action is said") {
    const auto failure = [](const char* text) {
        try {
            parse_at(text);
        } catch (const kernel::Error& e) {
            CHECK(e.exit_code == kernel::kExitConfig);
            CHECK_THAT(e.what(), Contains("--at " + std::string(text) + ": "));
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK_THAT(failure(""), Contains("expected a point"));
    CHECK_THAT(failure("instant=5:quit"), Contains("icount=N, time=T or end, found `instant=5`"));
    CHECK_THAT(failure("icountx=5:quit"), Contains("expected a point"));
    for (const char* number : {"icount:quit", "icount=:quit", "icount=5K:quit", "icount=-1:quit", "icount=1.5:quit",
                               "icount=18446744073709551616:quit", "icount=_5:quit"})
        CHECK_THAT(failure(number), Contains("a number of instructions"));
    for (const char* time : {"time:quit", "time=:quit", "time=5:quit", "time=-1s:quit", "time=99999999999s:quit"})
        CHECK_THAT(failure(time), Contains("a time with its unit"));
    CHECK_THAT(failure("icount=5"), Contains("what to do there"));
    CHECK_THAT(failure("icount=5:"), Contains("save=FILE, engine=NAME, stop or quit"));
    CHECK_THAT(failure("icount=5:save="), Contains("save=FILE, engine=NAME, stop or quit"));
    CHECK_THAT(failure("icount=5:save"), Contains("found `save`"));
    CHECK_THAT(failure("icount=5:QUIT"), Contains("found `QUIT`"));
    CHECK_THAT(failure("icount=5:engine="), Contains("engine=NAME"));
    CHECK_THAT(failure("end:engine=interp"), Contains("expected end:save=FILE"));
    CHECK_THAT(failure("end:stop"), Contains("expected end:save=FILE"));
    CHECK_THAT(failure("end"), Contains("what to do there"));
}
