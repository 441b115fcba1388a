#include <catch2/catch.hpp>

#include "kernel/state/testing.hpp"
#include "kernel/state/text.hpp"

using namespace backplane::kernel;
using namespace backplane::kernel::testing;

TEST_CASE("plain text is UTF-8 without control characters") {
    for (const char* good : {"", "index", "channel[1].count", "gr\xc3\xbc\xc3\x9f", "\xe2\x82\xac", "\xf0\x9f\x92\xbe"})
        CHECK(is_plain_utf8(good));
    for (const char* bad : {"a\nb", "\x1b[31m", "\x7f", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                            "\xff", "\xe2\x82", "\xc2\x9b", "\xe2\x80\xae", "\xf8\x88\x80\x80\x80"})
        CHECK_FALSE(is_plain_utf8(bad));
    CHECK_FALSE(is_plain_utf8(std::string_view("a\0b", 3)));
}

TEST_CASE("text of others does nothing to a terminal") {
    CHECK(printable("a\x1b[31m\xff\xc3\xbc\n") == "a\\x1b[31m\\xff\xc3\xbc\\x0a");
    CHECK(printable(std::string_view("\0\xe2\x82", 3)) == "\\x00\\xe2\\x82");
}

TEST_CASE("values read like their kind") {
    const Sample sample;
    const auto& fields = sample.snapshot.devices[0].fields;
    CHECK(value_text(fields[0]) == "0a");
    CHECK(value_text(fields[1]) == "true");
    CHECK(value_text(fields[2]) == "1234 5678");
    CHECK(value_text(fields[3]) == "-1");
    CHECK(value_text(fields[4]) == "1.5");
    CHECK(value_text(fields[5], 3) == "62 62 62 ... (1000 elements)");
    CHECK(value_text(fields[6]) == "");
    CHECK(value_text(value("n", BP_STATE_SIGNED, 2,
                           "\xfe\xff\5"
                           "\x80")) == "-2 -32763");
    CHECK(time_text(1'234'567'890) == "1.234567890 s");
}
