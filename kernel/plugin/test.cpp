#include <catch2/catch.hpp>

#include "backplane/device.hpp"
#include "kernel/config/convert.hpp"
#include "kernel/plugin/property.hpp"
#include "kernel/plugin/registry.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Matchers::Contains;

namespace {

struct Plain : Device<Plain> {
    static constexpr std::string_view kType = "test.plain";
    using Device::Device;
    static void describe(Schema<Plain>& s) {
        s.doc("Plain");
        s.property("level", &Plain::level, {.doc = "Level", .def = "0x10", .min = 2, .max = 100});
        s.property("size", &Plain::size, {.doc = "Size", .def = "64K"});
        s.property("wait", &Plain::wait, {.doc = "Wait", .def = "2ms"});
        s.property("on_top", &Plain::on_top, {.doc = "Flag", .def = "yes"});
        s.property("file", &Plain::file, {.doc = "File"});
        s.property("must", &Plain::must, {.doc = "Needed", .required = true});
        s.line_in<&Plain::in>("reset", "Reset");
        s.lines_in<&Plain::ins>("ir", 16, "Requests");
        s.line_out("intr", &Plain::intr, "Interrupt");
        s.lines_out("pin", &Plain::pins, "Pins");
    }
    void in(bool) {}
    void ins(u32, bool) {}
    u8 level = 0;
    Bytes size;
    Duration wait;
    bool on_top = false;
    Path file;
    std::string must;
    LineOut intr;
    std::array<LineOut, 3> pins;
};

struct WrongDefault : Device<WrongDefault> {
    static constexpr std::string_view kType = "test.wrong-default";
    using Device::Device;
    static void describe(Schema<WrongDefault>& s) { s.property("n", &WrongDefault::n, {.doc = "", .def = "many"}); }
    u32 n = 0;
};

struct Twice : Device<Twice> {
    static constexpr std::string_view kType = "test.twice";
    using Device::Device;
    static void describe(Schema<Twice>& s) {
        s.property("n", &Twice::n, {.doc = "", .def = "1"});
        s.property("n", &Twice::n, {.doc = "", .def = "1"});
    }
    u32 n = 0;
};

struct Reserved : Device<Reserved> {
    static constexpr std::string_view kType = "test.reserved";
    using Device::Device;
    static void describe(Schema<Reserved>& s) { s.property("at", &Reserved::n, {.doc = "", .def = "1"}); }
    u32 n = 0;
};

struct Thrower : Device<Thrower> {
    static constexpr std::string_view kType = "test.thrower";
    using Device::Device;
    static void describe(Schema<Thrower>&) { throw 1; }
};

std::string fault_of(const bp_device_type* type) {
    try {
        describe_type(type, "x.so");
    } catch (const Error& e) {
        CHECK(e.exit_code == kExitPlugin);
        return e.what();
    }
    return "(no error)";
}

}  // namespace

TEST_CASE("a description keeps indices and names of lines") {
    const TypeInfo t = describe_type(&DeviceType<Plain>::value, "");
    CHECK(t.input_count == 17);
    CHECK(t.output_count == 4);
    REQUIRE(t.input("ir8"));
    CHECK(t.input("ir8")->index == 9);
    CHECK(t.input("ir8")->line == 8);
    CHECK(t.input("reset")->index == 0);
    for (const char* none : {"ir", "ir16", "ir08", "ir0x1", "irx", "intr", ""}) CHECK_FALSE(t.input(none));
    CHECK(t.output("pin2")->index == 3);
    CHECK_FALSE(t.output("pin3"));
    CHECK(t.property("wait") == 2u);
    CHECK_FALSE(t.property("waits"));
    const std::vector<std::string> keys = device_keys(t);
    for (const char* key : {"type", "level", "intr", "pin", "pin0"})
        CHECK(std::count(keys.begin(), keys.end(), key) == 1);
    for (const char* key : {"on", "at", "reset", "ir3"}) CHECK(std::count(keys.begin(), keys.end(), key) == 0);
}

TEST_CASE("property values are defaulted, converted and checked") {
    const TypeInfo t = describe_type(&DeviceType<Plain>::value, "");
    const auto value = [&](const char* name, const Value* written) {
        return property_value(t.properties[*t.property(name)], written, "dev", position_of_option("board"));
    };
    CHECK(value("level", nullptr).number == 16);
    CHECK_FALSE(value("level", nullptr).given);
    CHECK(value("size", nullptr).number == 65536);
    CHECK(value("wait", nullptr).number == 2'000'000);
    CHECK(value("on_top", nullptr).number == 1);
    CHECK(value("file", nullptr).text.empty());
    const Value twelve = Value::scalar("12", position_of_option("--set"));
    CHECK(value("level", &twelve).number == 12);
    CHECK(value("level", &twelve).given);
    const Value one = Value::scalar("1", position_of_option("--set"));
    CHECK_THROWS_WITH(value("level", &one), "--set: dev: `level` must be from 2 to 100, not `1`");
    CHECK_THROWS_WITH(value("must", nullptr), "board: dev needs the property `must` (Needed)");
    const Value nothing;
    CHECK(value("level", &nothing).number == 16);
}

TEST_CASE("a description with a fault is the plugin's error") {
    CHECK_THAT(fault_of(&DeviceType<WrongDefault>::value),
               Contains("x.so: the type `test.wrong-default`: its default is not acceptable"));
    CHECK_THAT(fault_of(&DeviceType<Twice>::value), Contains("declares the property `n` twice"));
    CHECK_THAT(fault_of(&DeviceType<Reserved>::value), Contains("cannot be called `at`"));
    CHECK_THAT(fault_of(&DeviceType<Thrower>::value), Contains("describe() threw"));
    CHECK_THAT(fault_of(nullptr), Contains("another size"));
    bp_device_type copy = DeviceType<Plain>::value;
    copy.size = 8;
    CHECK_THAT(fault_of(&copy), Contains("another size"));
    copy = DeviceType<Plain>::value;
    copy.reset = nullptr;
    CHECK_THAT(fault_of(&copy), Contains("lacks a function"));
    copy = DeviceType<Plain>::value;
    copy.type = {"", 0};
    CHECK_THAT(fault_of(&copy), Contains("without a name"));
}

TEST_CASE("declarations of an impossible kind are noticed whatever the plugin passes") {
    static void (*declare)(const bp_describer*);
    bp_device_type type = DeviceType<Plain>::value;
    type.describe = [](const bp_describer* d) { declare(d); };
    declare = [](const bp_describer* d) {
        bp_line line{4, BP_LINE_IN, to_bp("x"), {}, 1, nullptr};
        d->line(d->self, &line);
    };
    CHECK_THAT(fault_of(&type), Contains("another size"));
    declare = [](const bp_describer* d) {
        bp_line line{sizeof(bp_line), BP_LINE_OUT, to_bp("x"), {}, ~0u, nullptr};
        d->line(d->self, &line);
    };
    CHECK_THAT(fault_of(&type), Contains("impossible count"));
    declare = [](const bp_describer* d) {
        for (int i = 0; i < 100000; ++i) {
            const std::string name = "p" + std::to_string(i);
            bp_property p{sizeof(bp_property), BP_PROPERTY_BOOL, to_bp(name), {}, to_bp("no"), {}, 0, 1};
            d->property(d->self, &p);
        }
    };
    CHECK_THAT(fault_of(&type), Contains("too many items"));
    declare = [](const bp_describer* d) {
        bp_property p{sizeof(bp_property), 99, to_bp("p"), {}, to_bp("no"), {}, 0, 1};
        d->property(d->self, &p);
        d->property(d->self, nullptr);
    };
    CHECK_THAT(fault_of(&type), Contains("unknown kind"));
    declare = [](const bp_describer* d) {
        bp_region r{sizeof(bp_region), BP_REGION_PORTS, to_bp("r"), {}, 0x20000, 1, nullptr, nullptr};
        d->region(d->self, &r);
    };
    CHECK_THAT(fault_of(&type), Contains("more ports than there are"));
}

TEST_CASE("types of this process serve as those of plugins") {
    PluginRegistry registry;
    registry.add(&DeviceType<Plain>::value);
    CHECK(registry.type("test.plain").abi == &DeviceType<Plain>::value);
    CHECK_THROWS_WITH(registry.type("test.plian"), Contains("did you mean `test.plain`?"));
    registry.add(&DeviceType<Thrower>::value);
    CHECK(registry.type_names() == std::vector<std::string>{"test.plain", "test.thrower"});
    PluginRegistry doubled;
    doubled.add(&DeviceType<Plain>::value);
    doubled.add(&DeviceType<Plain>::value);
    CHECK_THROWS_WITH(doubled.type("test.plain"), Contains("defined twice"));
}
