#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "kernel/config/convert.hpp"
#include "kernel/config/value.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Matchers::Contains;

namespace {
std::string error_of(const std::string& yaml) {
    try {
        parse_yaml(yaml, "t.yaml");
    } catch (const Error& e) {
        CHECK(e.exit_code == kExitConfig);
        return e.what();
    }
    return "(no error)";
}
Value scalar(const std::string& text) { return Value::scalar(text, position_of_option("--x")); }
}  // namespace

TEST_CASE("a tree keeps order, quoting and positions") {
    const Value v = parse_yaml("b: 1\na:\n  - x\n  - \"2\"\nc: ~\nd: null\ne: 'null'\n", "t.yaml");
    REQUIRE(v.is_map());
    REQUIRE(v.entries().size() == 5);
    CHECK(v.entries()[0].key == "b");
    CHECK(v.entries()[1].key == "a");
    const Value& list = *v.find("a");
    REQUIRE(list.items().size() == 2);
    CHECK_FALSE(list.items()[0].quoted());
    CHECK(list.items()[1].quoted());
    CHECK(list.items()[1].position().text() == "t.yaml:4:5");
    CHECK(v.find("c")->is_null());
    CHECK(v.find("d")->is_null());
    CHECK(v.find("e")->text() == "null");
}

TEST_CASE("an alias repeats what its anchor named") {
    const Value v = parse_yaml("a: &x {k: 1}\nb: *x\n", "t.yaml");
    CHECK(v.find("b")->find("k")->text() == "1");
}

TEST_CASE("syntax errors name file, line and column") {
    CHECK_THAT(error_of("a: b\n\tc: d\n"), Contains("t.yaml:2:"));
    CHECK_THAT(error_of("a: [1, 2\n"), Contains("t.yaml:") && Contains("not valid YAML"));
    CHECK_THAT(error_of("a: *nowhere\n"), Contains("t.yaml:1:"));
    CHECK_THAT(error_of("a: 1\nb: 2\na: 3\n"), Contains("t.yaml:3:1: `a` is given twice") && Contains("t.yaml:1:1"));
    CHECK_THAT(error_of("? [x]\n: 1\n"), Contains("a key must be a single word"));
    CHECK_THAT(error_of("a: 1\n---\nb: 2\n"), Contains("second document"));
    CHECK_THAT(error_of("a: !!binary abcd\n"), Contains("tags are not used"));
}

TEST_CASE("a key given twice is found in a large map too") {
    std::string yaml;
    for (int i = 0; i < 5000; ++i) yaml += "key" + std::to_string(i) + ": 1\n";
    CHECK(error_of(yaml) == "(no error)");
    CHECK_THAT(error_of(yaml + "key77: 2\n"), Contains("t.yaml:5001:1") && Contains("t.yaml:78:1"));
}

TEST_CASE("an alias bomb is refused by the number of values") {
    std::string yaml = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 12; ++i) {
        const std::string before = "*a" + std::to_string(i - 1);
        yaml += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int n = 0; n < 10; ++n) yaml += before + (n == 9 ? "]\n" : ", ");
    }
    CHECK_THAT(error_of(yaml), Contains("too large: more than 200000 values"));
    CHECK_THAT(error_of("a: &a [*a]\n"), Contains("t.yaml:1:8"));
}

TEST_CASE("nested anchors do not multiply memory") {
    std::string yaml = "a: ";
    for (int i = 0; i < 60; ++i) yaml += "&n" + std::to_string(i) + " [";
    for (int i = 0; i < 10000; ++i) yaml += "x,";
    yaml += std::string(60, ']');
    CHECK_THAT(error_of(yaml + "\n"), Contains("too many values behind anchors"));
}

TEST_CASE("deep nesting is refused") {
    CHECK(error_of("a: " + std::string(60, '[') + std::string(60, ']') + "\n") == "(no error)");
    CHECK_THAT(error_of("a: " + std::string(70, '[') + std::string(70, ']') + "\n"), Contains("nested too deeply"));
    CHECK_THAT(error_of(std::string(1 << 20, '[')), Contains("nested too deeply"));
    std::string stairs;
    for (int i = 0; i < 2000; ++i) stairs += std::string(static_cast<std::size_t>(i), ' ') + "k:\n";
    CHECK_THAT(error_of(stairs), Contains("nested too deeply"));
    // Through aliases: each level is shallow, their sum is not.
    std::string sum = "a0: &a0 [[[[[[[[[[x]]]]]]]]]]\n";
    for (int i = 1; i < 8; ++i)
        sum += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [[[[[[[[[[*a" + std::to_string(i - 1) +
               "]]]]]]]]]]\n";
    CHECK_THAT(error_of(sum), Contains("nested too deeply"));
}

TEST_CASE("binary and oversized files are refused") {
    CHECK_THAT(error_of(std::string("a: b\nc\0d", 8)),
               Contains("t.yaml:2:2: not a UTF-8 text file: it holds the byte 00h"));
    CHECK_THAT(error_of("\xff\xfe"
                        "a"),
               Contains("t.yaml:1:1: not a UTF-8 text file: it holds the byte FFh"));
    const std::string folder = std::filesystem::temp_directory_path() / ("bp-yaml-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    const std::string huge = folder + "/huge.yaml";
    std::ofstream(huge).put('a');
    std::filesystem::resize_file(huge, 100u << 20);
    CHECK_THROWS_WITH(read_yaml_file(huge), Contains("huge.yaml: too large for a YAML file: 104857600 bytes"));
    CHECK_THROWS_WITH(read_yaml_file(folder), Contains("is a folder"));
    CHECK_THROWS_WITH(read_yaml_file(folder + "/none.yaml"), Contains("No such file"));
    const std::string fifo = folder + "/fifo.yaml";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK_THROWS_WITH(read_yaml_file(fifo), Contains("not a regular file"));
    std::filesystem::remove_all(folder);
}

TEST_CASE("merging is recursive, replaces values and deletes with null") {
    Value base = parse_yaml("a: {x: 1, y: [1, 2]}\nb: 2\nc: {z: 1}\n", "t");
    merge(base, parse_yaml("a: {y: [3], w: {q: 1, r: ~}}\nb: ~\nc: 5\nd: 6\n", "u"));
    CHECK(base.find("a")->find("x")->text() == "1");
    CHECK(base.find("a")->find("y")->items().size() == 1);
    CHECK(base.find("a")->find("w")->find("r") == nullptr);
    CHECK(base.find("b") == nullptr);
    CHECK(base.find("c")->text() == "5");
    CHECK(base.find("d")->text() == "6");
}

TEST_CASE("numbers are read in every base and refused when they are not numbers") {
    CHECK(parse_number("0") == 0u);
    CHECK(parse_number("0x1F0") == 0x1f0u);
    CHECK(parse_number("0b101") == 5u);
    CHECK(parse_number("0o17") == 15u);
    CHECK(parse_number("1_000_000") == 1000000u);
    CHECK(parse_number("18446744073709551615") == ~u64{0});
    for (const char* bad : {"", "010", "18446744073709551616", "0x", "-1", "+1", "1 ", "1e3", "_1", "1_", "0xg", "0b2"})
        CHECK_FALSE(parse_number(bad));
}

TEST_CASE("sizes take suffixes and stay whole") {
    CHECK(parse_size("128M") == 128u << 20);
    CHECK(parse_size("128 MiB") == 128u << 20);
    CHECK(parse_size("1.5G") == 1536u << 20);
    CHECK(parse_size("4096") == 4096u);
    CHECK(parse_size("0x1000") == 4096u);
    for (const char* bad : {"M", "128m", "1.3", "1,5G", "99999999999T", "1.G", ".5G", "12MB"})
        CHECK_FALSE(parse_size(bad));
    CHECK(size_text(128u << 20) == "128M");
    CHECK(size_text(1000) == "1000");
}

TEST_CASE("times need a unit") {
    CHECK(parse_duration("10ns") == 10u);
    CHECK(parse_duration("1.5us") == 1500u);
    CHECK(parse_duration("3ms") == 3'000'000u);
    CHECK(parse_duration("2s") == 2'000'000'000u);
    CHECK(parse_duration("0") == 0u);
    for (const char* bad : {"10", "s", "1h", "-1s", "99999999999999s"}) CHECK_FALSE(parse_duration(bad));
}

TEST_CASE("conversions say what was expected and where") {
    CHECK_THROWS_WITH(to_number(scalar("300"), "`n`", 0, 255), "--x: `n` must be at most 255, not `300`");
    CHECK_THROWS_WITH(to_number(scalar("3"), "`n`", 4, 8), "--x: `n` must be from 4 to 8, not `3`");
    CHECK_THROWS_WITH(to_size(scalar("2T"), "`m`", 1u << 20, u64{64} << 30), Contains("from 1M to 64G, not `2T`"));
    CHECK_THROWS_WITH(to_bool(scalar("maybe"), "`b`"), Contains("true or false, not `maybe`"));
    CHECK_THROWS_WITH(to_choice(scalar("stdd"), "`v`", {"std", "cirrus", "none"}),
                      "--x: `v` must be std, cirrus or none, not `stdd`; did you mean `std`?");
    CHECK_THROWS_WITH(to_text(Value::map(position_of_option("--x")), "`t`"), Contains("a single value, not a map"));
}

TEST_CASE("the nearest known name is found, a far one is not guessed") {
    const std::vector<std::string> known = {"memory", "read_only", "model", "image"};
    CHECK(nearest("memmory", known) == "memory");
    CHECK(nearest("mdoel", known) == "model");
    CHECK(nearest("read-only", known) == "read_only");
    CHECK(nearest("mem", known) == "memory");
    CHECK_FALSE(nearest("xyzzy", known));
}
