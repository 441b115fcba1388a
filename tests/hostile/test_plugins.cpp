#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "kernel/plugin/registry.hpp"
#include "kernel/plugin/schema.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

const std::string kPlugins = HOSTILE_PLUGINS;

std::string bytes_of(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    REQUIRE(in);
    return {std::istreambuf_iterator<char>(in), {}};
}

struct Folder {
    std::string path = fs::temp_directory_path() / ("bp-plugins-" + std::to_string(::getpid()));
    Folder() { fs::create_directories(path); }
    ~Folder() { fs::remove_all(path); }
    std::string write(const std::string& name, const std::string& bytes) const {
        std::ofstream(path + "/" + name, std::ios::binary) << bytes;
        return path + "/" + name;
    }
    std::string copy(const std::string& plugin, const std::string& name) const {
        fs::copy_file(kPlugins + "/" + plugin, path + "/" + name, fs::copy_options::overwrite_existing);
        return path + "/" + name;
    }
};

// Every refusal is an Error that names the file and has the exit code of plugins.
std::string error_of(const std::string& path) {
    try {
        read_manifest(path);
    } catch (const Error& e) {
        CHECK(e.exit_code == kExitPlugin);
        CHECK_THAT(e.what(), StartsWith(path + ": "));
        return e.what();
    }
    return "(no error)";
}

std::string type_error(PluginRegistry& registry, const std::string& type) {
    try {
        registry.type(type, position_of_option("board"));
    } catch (const Error& e) {
        CHECK(e.exit_code == kExitPlugin);
        return e.what();
    }
    return "(no error)";
}

}  // namespace

TEST_CASE("a manifest is read without running the plugin") {
    const Manifest m = read_manifest(kPlugins + "/good.so");
    CHECK(m.id == "fixture.good");
    CHECK(m.version == "1.2.3");
    CHECK(m.kind == "device");
    CHECK(m.types == std::vector<std::string>{"fixture.card", "fixture.child", "fixture.listener"});
    CHECK(m.needs == std::vector<std::string>{"files", "threads"});
    CHECK(m.abi_major == BP_ABI_MAJOR);
    // This one would end the process.
    CHECK(read_manifest(kPlugins + "/mined.so").id == "fixture.mined");
}

TEST_CASE("files that are no plugins are refused by name") {
    const Folder f;
    CHECK_THAT(error_of(f.path + "/none.so"), Contains("cannot open"));
    CHECK_THAT(error_of(f.write("empty.so", "")), Contains("is empty"));
    CHECK_THAT(error_of(f.write("text.so", "this is not a library\n")), Contains("not an ELF file"));
    CHECK_THAT(error_of(f.write("short.so",
                                "\x7f"
                                "ELF")),
               Contains("truncated"));
    CHECK_THAT(error_of(kPlugins + "/foreign.so"), Contains("not a Backplane plugin"));
    CHECK_THAT(error_of(kPlugins + "/nosymbol.so"), Contains("exports no data symbol `backplane_plugin`"));
    CHECK_THAT(error_of(kPlugins + "/smallsymbol.so"), Contains("exports no data symbol `backplane_plugin`"));
    fs::create_directory(f.path + "/folder.so");
    CHECK_THAT(error_of(f.path + "/folder.so"), Contains("is a folder"));
    const std::string fifo = f.path + "/fifo.so";
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK_THAT(error_of(fifo), Contains("not a regular file"));
    const std::string huge = f.write("huge.so", "x");
    fs::resize_file(huge, u64{1} << 33);
    CHECK_THAT(error_of(huge), Contains("too large"));
    if (fs::exists("/proc/self/exe")) CHECK(error_of("/proc/self/exe") != "(no error)");
}

TEST_CASE("another architecture and another ABI are named") {
    const Folder f;
    std::string bytes = bytes_of(kPlugins + "/mined.so");
    std::string arm = bytes;
    arm[18] = static_cast<char>(0xb7), arm[19] = 0;
    CHECK_THAT(error_of(f.write("arm.so", arm)), Contains("another architecture (ELF machine 183)"));
    std::string narrow = bytes;
    narrow[4] = 1;
    CHECK_THAT(error_of(f.write("narrow.so", narrow)), Contains("another architecture"));
    std::string program = bytes;
    program[16] = 2;
    CHECK_THAT(error_of(f.write("program.so", program)), Contains("not a shared library"));
    const auto at = bytes.find("BPMANIF1");
    REQUIRE(at != std::string::npos);
    for (const auto& [offset, text] : {std::pair{8, "built for plugin ABI 7."}, {12, "built for plugin ABI 0.7"}}) {
        std::string other = bytes;
        other[at + static_cast<std::size_t>(offset)] = 7;
        const std::string error = error_of(f.write("abi.so", other));
        CHECK_THAT(error, Contains(text));
        CHECK_THAT(error, Contains("this program has ABI " + std::to_string(BP_ABI_MAJOR) + "." +
                                   std::to_string(BP_ABI_MINOR)));
    }
    std::string longer = bytes;
    longer[at + 17] = 0x7f;
    CHECK_THAT(error_of(f.write("longer.so", longer)), Contains("shorter than it says"));
    std::string damaged = bytes;
    damaged[at + 24] = '[';
    CHECK_THAT(error_of(f.write("damaged.so", damaged)), Contains("manifest is damaged"));
}

TEST_CASE("a plugin cut off anywhere is refused") {
    const Folder f;
    const std::string bytes = bytes_of(kPlugins + "/mined.so");
    for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 64) {
        INFO(size);
        CHECK(error_of(f.write("cut.so", bytes.substr(0, size))) != "(no error)");
    }
    CHECK_THAT(error_of(f.write("cut.so", bytes.substr(0, bytes.size() / 2))), Contains("truncated or damaged"));
}

TEST_CASE("no damage to a file makes the reader fail otherwise than by an error") {
    const Folder f;
    const std::string bytes = bytes_of(kPlugins + "/mined.so");
    u64 sections = 0;
    std::memcpy(&sections, bytes.data() + 40, sizeof sections);
    std::mt19937_64 random(1);
    for (int round = 0; round < 3000; ++round) {
        std::string copy = bytes;
        const int changes = 1 + static_cast<int>(random() % 4);
        for (int i = 0; i < changes; ++i) {
            // Mostly where structure is: the header, the section table, the manifest; sometimes anywhere.
            std::size_t at = random() % copy.size();
            if (random() % 4) at = random() % 64;
            if (random() % 3 == 0) at = sections + random() % (copy.size() - sections);
            if (random() % 5 == 0) at = copy.find("BPMANIF1") + random() % 160;
            static constexpr unsigned char kEdges[] = {0, 1, 0x7f, 0x80, 0xff};
            copy[at % copy.size()] = static_cast<char>(random() % 2 ? kEdges[random() % 5] : random());
        }
        try {
            read_manifest(f.write("flipped.so", copy));
        } catch (const Error& e) {
            CHECK(e.exit_code == kExitPlugin);
        }
    }
}

TEST_CASE("a type is loaded on first use and described in full") {
    PluginRegistry registry;
    registry.scan(kPlugins);
    const Folder f;
    CHECK(registry.has_type("fixture.listener"));
    for (const PluginFile& file : registry.files()) CHECK_FALSE(file.loaded);
    const TypeInfo& child = registry.type("fixture.child");
    CHECK(child.plugin_id == "fixture.good");
    CHECK_THAT(child.plugin_file, Contains("good.so"));
    CHECK(child.regions.size() == 2);
    CHECK(child.regions[0].read != nullptr);
    CHECK(child.regions[0].write == nullptr);
    REQUIRE(child.properties.size() == 1);
    CHECK(child.properties[0].required());
    CHECK(child.offers_interface("fixture.child/1"));
    REQUIRE(child.facts.size() == 1);
    CHECK(child.facts[0].must_consume);
    CHECK(&registry.type("fixture.child") == &child);
}

TEST_CASE("a type defined twice names both files") {
    PluginRegistry registry;
    registry.scan(kPlugins);
    const std::string error = type_error(registry, "fixture.card");
    CHECK_THAT(error, StartsWith("board: the type `fixture.card` is defined twice: by "));
    CHECK_THAT(error, Contains("good.so and by ") && Contains("twin.so"));
    // One plugin that is found in two folders is one plugin.
    const Folder f;
    fs::create_symlink(kPlugins + "/mined.so", f.path + "/again.so");
    registry.scan(f.path);
    std::size_t mined = 0;
    for (const PluginFile& file : registry.files()) mined += file.manifest.id == "fixture.mined";
    CHECK(mined == 1);
}

TEST_CASE("a device may choose among several implementations of a type") {
    PluginRegistry registry;
    registry.scan(kPlugins);
    const Position board = position_of_option("board");
    CHECK(registry.type("fixture.card", board, "fixture.twin").plugin_id == "fixture.twin");
    CHECK(registry.type("fixture.card", board, "fixture.good").plugin_id == "fixture.good");
    CHECK_THROWS_WITH(registry.type("fixture.card", board, "fixture.liar"),
                      StartsWith("board: the plugin fixture.liar does not define the type `fixture.card`"));
    CHECK_THROWS_WITH(registry.type("fixture.card", board, kPlugins + "/none.so"),
                      StartsWith("board: ") && Contains("none.so: cannot open"));
    CHECK_THROWS_WITH(registry.type("fixture.card", board, kPlugins + "/foreign.so"),
                      Contains("not a Backplane plugin"));
}

TEST_CASE("a file that one device names is not taken for the others") {
    const Folder f;
    f.copy("good.so", "good.so");
    PluginRegistry registry;
    registry.scan(f.path);
    CHECK(registry.type("fixture.card", {}, kPlugins + "/twin.so").plugin_id == "fixture.twin");
    CHECK(registry.type("fixture.card").plugin_id == "fixture.good");
}

TEST_CASE("one broken plugin does not hurt the others, and is named when a type is missing") {
    const Folder f;
    f.copy("good.so", "good.so");
    f.write("broken.so", bytes_of(kPlugins + "/mined.so").substr(0, 3000));
    PluginRegistry registry;
    registry.scan(f.path);
    CHECK(registry.type("fixture.child").name == "fixture.child");
    const std::string error = type_error(registry, "fixture.chidl");
    CHECK_THAT(error, Contains("board: there is no device type `fixture.chidl`; did you mean `fixture.child`?"));
    CHECK_THAT(error, Contains("broken.so: truncated"));
    CHECK_THAT(type_error(registry, "nothing.alike"), !Contains("did you mean"));
    PluginRegistry none;
    none.scan(f.path + "/no-such-folder");
    CHECK_THAT(type_error(none, "fixture.child"), Contains("BACKPLANE_PLUGIN_PATH"));
}

TEST_CASE("a plugin that does not keep its manifest's word is refused") {
    PluginRegistry registry;
    registry.scan(kPlugins);
    CHECK_THAT(type_error(registry, "fixture.claimed"),
               Contains("liar.so: its manifest and its code list different types"));
    const std::string unresolved = type_error(registry, "fixture.unresolved");
    CHECK_THAT(unresolved, Contains("unresolved.so: cannot be loaded: undefined symbol: backplane_fixture_nowhere"));
    CHECK_THAT(unresolved, !Contains("/proc/"));
}

TEST_CASE("a plugin that is exchanged after it was found is not run") {
    const Folder f;
    f.copy("good.so", "p.so");
    PluginRegistry registry;
    registry.scan(f.path);
    f.copy("mined.so", "new.so");
    fs::rename(f.path + "/new.so", f.path + "/p.so");
    CHECK_THAT(type_error(registry, "fixture.child"), Contains("p.so: changed while it was in use"));
}

TEST_CASE("two registries load one plugin independently") {
    const Folder f;
    f.copy("good.so", "p.so");
    const std::string doc = [&] {
        PluginRegistry a, b;
        a.scan(f.path), b.scan(f.path);
        CHECK(a.type("fixture.child").abi != b.type("fixture.child").abi);  // each has its own copy
        return a.type("fixture.card").doc;
    }();
    CHECK(doc == "A card with one of everything");
}

TEST_CASE("the schemas cover what plugins declare") {
    const Folder f;
    f.copy("good.so", "p.so");
    PluginRegistry registry;
    registry.scan(f.path);
    const std::string schema = machine_schema(registry);
    CHECK_THAT(schema,
               Contains("\"fixture.card\"") && Contains("How loud (default: 3)") && Contains("\"maximum\": 15"));
    CHECK_THAT(schema, Contains("\"out1\"") && !Contains("\"ir0\""));
    const SearchPaths search{{HOSTILE_CORPUS "/machines"}, {}, {}, {}, {}};
    const std::string vm = vm_schema(registry, search);
    CHECK_THAT(vm, Contains("\"board\"") && Contains("\"memory\""));
}
