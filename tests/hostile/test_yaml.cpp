// Every file of the corpus brings exactly the error that its .expect describes, and no machine is left half built.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <random>

#include "kernel/machine/machine.hpp"

using namespace backplane;
using namespace backplane::kernel;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

struct Expectation {
    int exit_code = -1;
    std::vector<std::string> texts;
};

Expectation read_expectation(const fs::path& path) {
    std::ifstream in(path);
    REQUIRE(in);
    Expectation e;
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("exit: ")) e.exit_code = std::stoi(line.substr(6));
        if (line.starts_with("text: ")) e.texts.push_back(line.substr(6));
    }
    return e;
}

SearchPaths corpus_search() {
    SearchPaths search;
    search.machines = {HOSTILE_CORPUS "/machines"};
    search.configs = {HOSTILE_CORPUS};
    return search;
}

struct Result {
    int exit_code = 0;
    std::string text;
};

Result check(const BoardRequest& request) {
    try {
        PluginRegistry registry;
        registry.add_file(HOSTILE_PLUGINS "/good.so");
        Logger logger([](std::string_view) {});
        Tracer tracer;
        const BoardSpec board = load_board(request, corpus_search());
        MachineOptions options;
        options.verify_only = true;
        const Machine machine(board, registry, logger, tracer, std::move(options));
    } catch (const Error& e) {
        return {e.exit_code, e.what()};
    }
    return {};
}

}  // namespace

TEST_CASE("each broken file brings its error") {
    int cases = 0;
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(HOSTILE_CORPUS))
        if (entry.path().extension() == ".expect") paths.push_back(entry.path());
    std::sort(paths.begin(), paths.end());
    for (fs::path path : paths) {
        const Expectation expected = read_expectation(path);
        path.replace_extension(".yaml");
        INFO(path.filename().string());
        const bool vm = path.filename().string().starts_with("vm-");
        const Result result = check(vm ? BoardRequest{"", path, {}} : BoardRequest{path, "", {}});
        CHECK(result.exit_code == expected.exit_code);
        for (const std::string& text : expected.texts) CHECK_THAT(result.text, Contains(text));
        if (expected.exit_code == 0) CHECK(result.text.empty());
        // An error without a text to hold it to would pass with any.
        if (expected.exit_code != 0) CHECK_FALSE(expected.texts.empty());
        ++cases;
    }
    CHECK(cases > 80);
}

TEST_CASE("files that are no files, and far too large ones, are refused at once") {
    const fs::path folder = fs::temp_directory_path() / ("bp-hostile-" + std::to_string(::getpid()));
    fs::create_directories(folder);
    std::ofstream(folder / "huge.yaml") << "machine: board\n";
    fs::resize_file(folder / "huge.yaml", 100u << 20);
    CHECK_THAT(check({"", folder / "huge.yaml", {}}).text,
               Contains("huge.yaml: too large for a YAML file: 104857600 bytes"));
    REQUIRE(::mkfifo((folder / "fifo.yaml").c_str(), 0600) == 0);
    CHECK_THAT(check({"", folder / "fifo.yaml", {}}).text, Contains("is not a regular file"));
    CHECK_THAT(check({"", folder.string() + "/", {}}).text, Contains("is a folder"));
    CHECK_THAT(check({"", folder / "none.yaml", {}}).text, Contains("no such file"));
    CHECK(check({"", folder / "none.yaml", {}}).exit_code == kExitConfig);
    fs::remove_all(folder);
}

TEST_CASE("settings of the command line are refused as clearly as files") {
    const auto set = [](const std::string& path, const std::string& value) {
        return check({"board", "", {{path, value, "--set " + path + "=" + value}}}).text;
    };
    CHECK(set("memory", "256M").empty());
    CHECK(set("devices.one.level", "7").empty());
    CHECK_THAT(set("memory", "1Z"), Contains("--set memory=1Z: `memory` must be a size"));
    CHECK_THAT(set("devices.one.level", "99"), Contains("--set devices.one.level=99: one: `level` must be at most 15"));
    CHECK_THAT(set("devices.one.leval", "1"), Contains("did you mean `level`?"));
    CHECK_THAT(set("devices.oen.level", "1"), Contains("the board has no device `oen`; did you mean `one`?"));
    CHECK_THAT(set("devices", "{}"), Contains("as a whole cannot be set"));
    CHECK_THAT(set("devices..x", "1"), Contains("an empty name"));
    CHECK_THAT(set("devices.one.at", "{"), Contains("not valid YAML"));
    CHECK_THAT(set("mmeory", "1G"), Contains("did you mean `memory`?"));
    CHECK_THAT(set("", "1"), Contains("the board has no parameter ``"));
}

TEST_CASE("no damage to a board brings anything but a board or an error") {
    const auto read = [](const fs::path& path) {
        std::ifstream in(path, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    std::vector<std::string> texts;
    const std::string board = read(HOSTILE_CORPUS "/machines/board.yaml");
    for (const auto& entry : fs::directory_iterator(HOSTILE_CORPUS))
        if (entry.path().extension() == ".yaml" && entry.file_size() < 2000) texts.push_back(read(entry.path()));
    std::sort(texts.begin(), texts.end());
    const std::vector<std::string> pieces = {"~",
                                             "[",
                                             "]",
                                             "{",
                                             "}",
                                             ": ",
                                             ", ",
                                             "&a ",
                                             "*a",
                                             "${memory}",
                                             "${",
                                             "\"",
                                             "- ",
                                             "\n",
                                             "  ",
                                             "\n  ",
                                             "devices",
                                             "0x",
                                             "99999999999999999999",
                                             "!t ",
                                             "|\n",
                                             "#",
                                             "? ",
                                             "..."};
    const fs::path folder = fs::temp_directory_path() / ("bp-damage-" + std::to_string(::getpid()));
    fs::create_directories(folder);
    PluginRegistry registry;
    registry.add_file(HOSTILE_PLUGINS "/good.so");
    Logger logger([](std::string_view) {});
    std::mt19937_64 random(2);
    int boards = 0, errors = 0;
    for (int round = 0; round < 3000; ++round) {
        const bool machine = random() % 2;
        std::string text = machine ? board : texts[random() % texts.size()];
        for (u64 changes = 1 + random() % 3; changes-- > 0 && !text.empty();) {
            const std::size_t at = random() % text.size();
            switch (random() % 5) {
                case 0: text[at] = static_cast<char>(random()); break;
                case 1: text.erase(at, 1 + random() % 8); break;
                case 2: text.insert(at, text.substr(random() % text.size(), random() % 40)); break;
                default: text.insert(at, pieces[random() % pieces.size()]); break;
            }
        }
        std::ofstream(folder / "x.yaml", std::ios::binary) << text;
        INFO(text);
        try {
            const BoardRequest request =
                machine ? BoardRequest{folder / "x.yaml", "", {}} : BoardRequest{"", folder / "x.yaml", {}};
            const BoardSpec spec = load_board(request, corpus_search());
            Tracer tracer;
            MachineOptions options;
            options.verify_only = true;
            const Machine built(spec, registry, logger, tracer, std::move(options));
            ++boards;
        } catch (const Error& e) {
            ++errors;
            CHECK_FALSE(std::string(e.what()).empty());
        }
    }
    fs::remove_all(folder);
    // Both happen, or the damage is not the right one.
    CHECK(boards > 20);
    CHECK(errors > 500);
}
