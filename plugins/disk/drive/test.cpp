#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "backplane/testkit/bench.hpp"
#include "image/testkit.hpp"
#include "model.hpp"

using namespace backplane;
using drive::Drive;
using image::testkit::filled;
using image::testkit::Folder;
using testkit::Board;
using Json = nlohmann::json;

namespace {

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A drive and what an attachment and a user do with it.
struct Rig : Board {
    explicit Rig(testkit::Properties properties, testkit::Links links = {})
        : Board(&DeviceType<Drive>::value, std::move(properties), std::move(links)) {
        device_name = "hda-drive";
    }
    Rig& up() {
        if (start() != BP_OK) throw std::runtime_error(failure);
        const bp_interface i = offer(BP_DRIVE_ID);
        table = static_cast<const bp_drive*>(i.table);
        object = i.instance;
        table->connect(object, &kListener, this);
        return *this;
    }
    bp_drive_info info() const {
        bp_drive_info i{};
        i.size = sizeof i;
        table->info(object, &i);
        return i;
    }
    bp_block_info block() const {
        bp_block_info i{};
        i.size = sizeof i;
        table->block->info(object, &i);
        return i;
    }
    bp_status submit(u32 operation, u64 offset, std::vector<u8>& data) {
        bp_block_request r{};
        r.size = sizeof r;
        r.operation = operation, r.offset = offset, r.length = data.size(), r.data = data.data();
        r.done = [](void* i, int32_t error) { static_cast<Rig*>(i)->results.push_back(error); };
        r.argument = this;
        return table->block->submit(object, &r);
    }
    void settle() {
        table->block->drain(object);
        run_posted();
    }
    // Submits and waits; -1: no answer yet.
    i32 now(u32 operation, u64 offset, std::vector<u8>& data) {
        results.clear();
        REQUIRE(submit(operation, offset, data) == BP_OK);
        settle();
        return results.empty() ? -1 : results[0];
    }
    Json command(const std::string& name, const Json& arguments = Json::object()) {
        const bp_interface i = offer(BP_COMMANDS_ID);
        const auto& commands = *static_cast<const bp_commands*>(i.table);
        const std::string text = arguments.dump();
        std::string answer;
        failure.clear();
        const bp_status s = commands.execute(
            i.instance, to_bp(name), to_bp(text),
            [](void* a, bp_str json) { static_cast<std::string*>(a)->assign(json.data, json.size); }, &answer);
        if (s != BP_OK) return {{"error", failure}};
        return Json::parse(answer);
    }
    static const bp_drive_listener kListener;
    const bp_drive* table = nullptr;
    void* object = nullptr;
    std::vector<i32> results;
    unsigned changes = 0, eject_requests = 0;
};
const bp_drive_listener Rig::kListener{sizeof(bp_drive_listener), [](void* i) { ++static_cast<Rig*>(i)->changes; },
                                       [](void* i) { ++static_cast<Rig*>(i)->eject_requests; }};

// An image that fails as the test says.
struct Failing {
    std::vector<u8> bytes = std::vector<u8>(1 << 20);
    i32 error = 0;
    u32 calls = 0;
    static const bp_block kTable;
    bp_interface interface() { return {&kTable, this}; }
};
const bp_block Failing::kTable{sizeof(bp_block),
                               [](void* i, bp_block_info* out) {
                                   const u32 size = out->size;
                                   *out = {};
                                   out->size = size;
                                   out->bytes = static_cast<Failing*>(i)->bytes.size();
                               },
                               [](void* i, const bp_block_request* r) -> bp_status {
                                   auto* f = static_cast<Failing*>(i);
                                   ++f->calls;
                                   u8* at = f->bytes.data() + r->offset;
                                   if (!f->error && r->operation == BP_BLOCK_READ) std::memcpy(r->data, at, r->length);
                                   if (!f->error && r->operation == BP_BLOCK_WRITE) std::memcpy(at, r->data, r->length);
                                   r->done(r->argument, f->error);
                                   return BP_OK;
                               },
                               [](void*, uint64_t, void*, uint64_t) -> int32_t { return 0; }, [](void*) {}};

}  // namespace

TEST_CASE("a drive is its image and what was prescribed about it") {
    Folder f;
    Rig rig({{"file", f.file("disk", 1 << 20)},
             {"cylinders", "2"},
             {"heads", "16"},
             {"sectors", "63"},
             {"lheads", "255"},
             {"translation", "large"},
             {"geometry", "auto"},
             {"serial", "X1"},
             {"boot_index", "3"},
             {"cache", "writethrough"}});
    rig.up();
    const bp_drive_info i = rig.info();
    CHECK(i.removable == 0);
    CHECK(i.cylinders == 2);
    CHECK(i.heads == 16);
    CHECK(i.sectors == 63);
    CHECK(i.lheads == 255);
    CHECK(i.translation == BP_TRANSLATION_LARGE);
    CHECK(i.policy == BP_GEOMETRY_AUTO);
    CHECK(i.write_cache == 0);
    CHECK(i.boot_index == 3);
    CHECK(to_view(i.serial) == "X1");
    CHECK(rig.block().bytes == 1 << 20);
    auto data = filled(4096, 1);
    CHECK(rig.now(BP_BLOCK_WRITE, 512, data) == 0);
    const auto file = f.contents("disk");
    CHECK(std::equal(data.begin(), data.end(), file.begin() + 512));
    Rig plain({{"file", f.file("other", 512)}});
    plain.up();
    CHECK(plain.info().boot_index == -1);
    CHECK(plain.info().write_cache == 1);
    CHECK(plain.info().translation == BP_TRANSLATION_DEFAULT);
}

TEST_CASE("a drive has a file or another device's image, not both and not neither") {
    Folder f;
    Failing image;
    Rig both({{"file", f.file("disk", 512)}}, {{"image", image.interface()}});
    CHECK(both.start() == BP_ERR_INVALID);
    CHECK(says(both.failure, "image"));
    Rig neither({});
    CHECK(neither.start() == BP_ERR_INVALID);
    CHECK(says(neither.failure, "no file was given"));
    Rig linked({}, {{"image", image.interface()}});
    linked.up();
    CHECK(linked.block().bytes == 1 << 20);
    CHECK(linked.command("info")["bytes"] == 1 << 20);
    CHECK(says(linked.command("resize", {{"bytes", 5}}).dump(), "another device"));
    Rig missing({{"file", f / "missing"}});
    CHECK(missing.start() == BP_ERR_NOT_FOUND);
    CHECK(says(missing.failure, "no such disk image"));
}

TEST_CASE("errors are reported, ignored, or held until the machine goes on") {
    for (const bool write : {true, false})
        for (const std::string policy : {"report", "ignore", "stop", "enospc"})
            for (const i32 error : {EIO, ENOSPC, EPERM}) {
                if (!write && policy == "enospc") continue;
                CAPTURE(write, policy, error);
                Failing image;
                Rig rig({{write ? "werror" : "rerror", policy}}, {{"image", image.interface()}});
                rig.up();
                image.error = error;
                std::vector<u8> data(512, 7);
                const i32 answer = rig.now(write ? BP_BLOCK_WRITE : BP_BLOCK_READ, 1024, data);
                const bool stops = error != EPERM && (policy == "stop" || (policy == "enospc" && error == ENOSPC));
                if (!stops) {
                    CHECK(answer == (policy == "ignore" && error != EPERM ? 0 : error));
                    CHECK(rig.requests.empty());
                    // What was refused has not failed.
                    REQUIRE(rig.events.size() == (error == EPERM ? 0 : 1));
                    if (error != EPERM) {
                        const auto told = Json::parse(rig.events[0].substr(rig.events[0].find(' ')));
                        CHECK(rig.events[0].starts_with("io-error "));
                        CHECK(told == Json{{"operation", write ? "write" : "read"},
                                           {"action", policy == "ignore" ? "ignore" : "report"},
                                           {"nospace", error == ENOSPC},
                                           {"reason", std::strerror(error)}});
                    }
                    if (!write && policy == "ignore" && error != EPERM) CHECK(data == std::vector<u8>(512));
                    continue;
                }
                CHECK(answer == -1);
                REQUIRE(rig.requests.size() == 1);
                REQUIRE(rig.events.size() == 1);
                CHECK(says(rig.events[0], R"("action":"stop")"));
                CHECK(says(rig.events[0], error == ENOSPC ? R"("nospace":true)" : R"("nospace":false)"));
                CHECK(rig.requests[0].what == BP_REQUEST_STOP);
                CHECK(says(rig.requests[0].reason, "offset 1024"));
                CHECK(says(rig.requests[0].reason, std::strerror(error)));
                rig.run(false);
                rig.settle();  // waits for nothing
                CHECK(rig.results.empty());
                CHECK(rig.command("info")["held"] == 1);
                // Still broken: stopped again.
                rig.run(true);
                rig.run_posted();
                CHECK(rig.results.empty());
                CHECK(rig.requests.size() == 2);
                rig.run(false);
                image.error = 0;
                rig.run(true);
                rig.run_posted();
                CHECK(rig.results == std::vector<i32>{0});
                if (write) CHECK(image.bytes[1024] == 7);
                CHECK(image.calls == 3);
            }
}

TEST_CASE("a held request is answered once when the machine is restored or ends") {
    for (const bool restore : {true, false}) {
        Failing image;
        image.error = EIO;
        std::vector<u8> data(512);
        auto rig = std::make_unique<Rig>(testkit::Properties{{"rerror", "stop"}},
                                         testkit::Links{{"image", image.interface()}});
        rig->up();
        CHECK(rig->now(BP_BLOCK_READ, 0, data) == -1);
        const testkit::SavedState saved = rig->save();
        if (restore)
            REQUIRE(rig->load(saved) == BP_OK);
        else
            rig->type()->stop(rig->instance());
        CHECK(rig->results.empty());  // not from within
        rig->run_posted();
        CHECK(rig->results == std::vector<i32>{ECANCELED});
    }
}

TEST_CASE("a removable drive may be empty, and its medium can be changed") {
    Folder f;
    const auto first = filled(4096, 1), second = filled(8192, 2);
    const std::string a = f.file("a", first), b = f.file("b", second);
    Rig rig(testkit::Properties{{"removable", "true"}, {"read_only", "true"}});
    rig.up();
    CHECK(rig.info().removable == 1);
    CHECK(rig.block().bytes == 0);
    std::vector<u8> data(512);
    CHECK(rig.submit(BP_BLOCK_READ, 0, data) == BP_ERR_STATE);
    CHECK(rig.command("change", {{"file", a}}) == Json::object());
    CHECK(rig.changes == 1);
    CHECK(rig.block().bytes == 4096);
    CHECK(rig.block().read_only == 1);
    CHECK(rig.now(BP_BLOCK_READ, 0, data) == 0);
    CHECK(std::equal(data.begin(), data.end(), first.begin()));
    // A medium that is none leaves the old one where it is.
    CHECK(says(rig.command("change", {{"file", f / "missing"}}).dump(), "no such disk image"));
    CHECK(rig.changes == 1);
    CHECK(rig.block().bytes == 4096);
    // The same one again, and another one.
    CHECK(rig.command("change", {{"file", a}}) == Json::object());
    CHECK(rig.command("change", {{"file", b}}) == Json::object());
    CHECK(rig.changes == 3);
    CHECK(rig.block().bytes == 8192);
    // Locked: the guest is asked.
    rig.table->lock(rig.object, 1);
    CHECK(says(rig.command("eject").dump(), "locked"));
    CHECK(says(rig.command("change", {{"file", a}}).dump(), "locked"));
    CHECK(rig.eject_requests == 2);
    CHECK(rig.block().bytes == 8192);
    CHECK(rig.command("info")["locked"] == true);
    CHECK(rig.command("eject", {{"force", true}}) == Json::object());
    CHECK(rig.changes == 4);
    CHECK(rig.block().bytes == 0);
    CHECK(rig.command("info")["inserted"] == false);
    CHECK(rig.command("eject") == Json::object());
    CHECK(rig.changes == 4);
    // An open tray yields no medium; the new one closes it.
    rig.table->lock(rig.object, 0);
    CHECK(rig.command("change", {{"file", a}}) == Json::object());
    rig.table->tray(rig.object, 1);
    CHECK(rig.block().bytes == 0);
    CHECK(rig.submit(BP_BLOCK_READ, 0, data) == BP_ERR_STATE);
    CHECK(rig.command("change", {{"file", b}}) == Json::object());
    CHECK(rig.block().bytes == 8192);

    Rig fixed(testkit::Properties{{"file", f.file("c", 512)}});
    fixed.up();
    CHECK(says(fixed.command("eject").dump(), "cannot be taken out"));
    CHECK(says(fixed.command("change", {{"file", a}}).dump(), "cannot be taken out"));
}

TEST_CASE("the tray's way is told, whoever moves it") {
    Folder f;
    const std::string a = f.file("a", 4096), b = f.file("b", 8192);
    Rig rig({{"removable", "true"}, {"read_only", "true"}, {"file", a}});
    rig.up();
    const auto told = [&] {
        std::string all;
        for (const std::string& e : std::exchange(rig.events, {}))
            all += e == R"(tray-moved {"open":true})" ? "o" : e == R"(tray-moved {"open":false})" ? "c" : "?";
        return all;
    };
    rig.table->tray(rig.object, 1);
    rig.table->tray(rig.object, 1);
    CHECK(told() == "o");
    CHECK(rig.command("open-tray") == Json::object());  // it is open
    CHECK(told().empty());
    CHECK(rig.command("close-tray") == Json::object());
    CHECK(rig.command("close-tray") == Json::object());
    CHECK(told() == "c");
    CHECK(rig.changes == 1);
    CHECK(rig.block().bytes == 4096);
    CHECK(rig.command("open-tray") == Json::object());
    CHECK(told() == "o");
    CHECK(rig.changes == 2);
    CHECK(rig.block().bytes == 0);
    CHECK(rig.command("info")["tray_open"] == true);
    CHECK(rig.command("change", {{"file", b}}) == Json::object());
    CHECK(told() == "c");
    CHECK(rig.command("change", {{"file", a}}) == Json::object());
    CHECK(told() == "oc");
    CHECK(rig.command("change", {{"file", f / "missing"}}).contains("error"));
    CHECK(told().empty());
    // Locked: the guest is asked, and the tray stays shut.
    rig.table->lock(rig.object, 1);
    CHECK(rig.command("open-tray") == Json::object());
    CHECK(rig.eject_requests == 1);
    CHECK(rig.block().bytes == 4096);
    CHECK(told().empty());
    CHECK(rig.command("open-tray", {{"force", true}}) == Json::object());
    CHECK(rig.command("eject") == Json::object());  // out of an open tray
    CHECK(told() == "o");
    CHECK(rig.command("close-tray") == Json::object());
    rig.table->lock(rig.object, 0);
    CHECK(rig.command("change", {{"file", a}}) == Json::object());
    CHECK(rig.command("eject") == Json::object());
    CHECK(told() == "cococ");

    Rig fixed(testkit::Properties{{"file", f.file("c", 512)}});
    fixed.up();
    CHECK(says(fixed.command("open-tray").dump(), "without a tray"));
    CHECK(says(fixed.command("close-tray").dump(), "without a tray"));
}

TEST_CASE("a snapshot of the machine names a removable drive's medium and brings it back") {
    Folder f;
    const std::string a = f.file("a", 4096), b = f.file("b", 8192);
    Rig rig({{"removable", "true"}, {"read_only", "true"}, {"file", a}});
    rig.up();
    const testkit::SavedState with_a = rig.save();
    CHECK(rig.command("change", {{"file", b}}) == Json::object());
    rig.table->tray(rig.object, 1);
    const testkit::SavedState with_b = rig.save();
    REQUIRE(rig.load(with_a) == BP_OK);
    CHECK(rig.block().bytes == 4096);
    REQUIRE(rig.load(with_b) == BP_OK);
    CHECK(rig.block().bytes == 0);
    rig.table->tray(rig.object, 0);
    CHECK(rig.block().bytes == 8192);
    CHECK(rig.command("eject") == Json::object());
    const testkit::SavedState empty = rig.save();
    REQUIRE(rig.load(with_a) == BP_OK);
    REQUIRE(rig.load(empty) == BP_OK);
    CHECK(rig.block().bytes == 0);
    std::filesystem::remove(a);
    CHECK(rig.load(with_a) == BP_ERR_NOT_FOUND);
    CHECK(says(rig.failure, a));
    f.file("a", 512);
    CHECK(rig.load(with_a) == BP_ERR_STATE);
    CHECK(says(rig.failure, "4096"));
}

TEST_CASE("a temporary drive can be committed; the commands tell what is wrong") {
    Folder f;
    const std::string path = f.file("disk", 65536);
    Rig rig({{"file", path}, {"snapshot", "true"}, {"format", "raw"}});
    rig.up();
    auto data = filled(512, 5);
    CHECK(rig.now(BP_BLOCK_WRITE, 512, data) == 0);
    CHECK(f.contents("disk") == std::vector<u8>(65536));
    const Json info = rig.command("info");
    CHECK(info["snapshot"] == true);
    CHECK(info["format"] == "raw");
    CHECK(info["file"] == path);
    CHECK(info["statistics"]["writes"]["bytes"] == 512);
    CHECK(rig.command("commit") == Json::object());
    const auto file = f.contents("disk");
    CHECK(std::equal(data.begin(), data.end(), file.begin() + 512));
    CHECK(says(rig.command("snapshot-create", {{"name", "x"}}).dump(), "no snapshots"));
    CHECK(says(rig.command("nonsense").dump(), "nonsense"));
    Rig plain({{"file", f.file("other", 4096)}});
    plain.up();
    CHECK(says(plain.command("commit").dump(), "no backing file"));
    CHECK(plain.command("resize", {{"bytes", 8192}}) == Json::object());
    CHECK(plain.block().bytes == 8192);
    const Json list =
        Json::parse(to_view(static_cast<const bp_commands*>(rig.offer(BP_COMMANDS_ID).table)->list(rig.object)));
    CHECK(list.size() == 11);
}

TEST_CASE("a guessed raw drive that would turn into something else says what to do") {
    Folder f;
    const std::string path = f.file("disk", 65536);
    Rig rig({{"file", path}, {"werror", "stop"}});
    rig.up();
    std::vector<u8> data(512);
    std::memcpy(data.data(), "QFI\xfb\0\0\0\3", 8);
    CHECK(rig.now(BP_BLOCK_WRITE, 0, data) == EPERM);
    REQUIRE_FALSE(rig.log.empty());
    CHECK(says(rig.log.back(), "format=raw"));
    Rig given({{"file", f.file("raw", 65536)}, {"format", "raw"}});
    given.up();
    CHECK(given.now(BP_BLOCK_WRITE, 0, data) == 0);
}
