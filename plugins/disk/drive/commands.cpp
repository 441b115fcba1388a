// What a drive's user may ask of it (bp.commands/1).
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model.hpp"

namespace backplane::drive {

using Json = nlohmann::json;

namespace {

struct Argument {
    const char *name, *type;
    bool required;
    const char* help;
};
struct Command {
    const char *name, *help;
    bool standstill;
    bool query;
    std::vector<Argument> arguments;
};

const std::vector<Command>& table() {
    static const std::vector<Command> commands = {
        {"info", "the image, how it is used, and counts of requests", false, true, {}},
        {"eject",
         "takes the medium out",
         true,
         false,
         {{"force", "bool", false, "also if the guest has locked the tray"}}},
        {"change",
         "puts another medium in",
         true,
         false,
         {{"file", "string", true, "the image"},
          {"format", "string", false, "raw, qcow2; by its header if it is not given"},
          {"read_only", "bool", false, "open for reading only; as the present medium if it is not given"},
          {"force", "bool", false, "also if the guest has locked the tray"}}},
        {"open-tray",
         "opens the tray, with what is in it",
         true,
         false,
         {{"force", "bool", false, "also if the guest has locked it, which is only asked otherwise"}}},
        {"close-tray", "closes the tray", true, false, {}},
        {"commit", "writes the temporary layer, or the qcow2 layer, to the image below", true, false, {}},
        {"resize", "changes the size of the image", true, false, {{"bytes", "number", true, "new size in bytes"}}},
        {"snapshot-list", "the snapshots inside the image", true, true, {}},
        {"snapshot-create",
         "makes a snapshot inside the image",
         true,
         false,
         {{"name", "string", true, "its name"},
          {"vm_state", "string", false, "file whose bytes are kept with it as the machine's state"},
          {"vm_clock_ns", "number", false, "the machine's time"}}},
        {"snapshot-apply",
         "makes the image what it was at a snapshot",
         true,
         false,
         {{"name", "string", true, "name or id"},
          {"vm_state", "string", false, "file that gets the machine's state that was kept with it"}}},
        {"snapshot-delete", "drops a snapshot", true, false, {{"name", "string", true, "name or id"}}},
    };
    return commands;
}

const std::string& table_text() {
    static const std::string text = [] {
        Json list = Json::array();
        for (const Command& c : table()) {
            Json arguments = Json::array();
            for (const Argument& a : c.arguments)
                arguments.push_back({{"name", a.name}, {"type", a.type}, {"required", a.required}, {"help", a.help}});
            list.push_back({{"name", c.name},
                            {"help", c.help},
                            {"standstill", c.standstill},
                            {"query", c.query},
                            {"arguments", std::move(arguments)}});
        }
        return list.dump();
    }();
    return text;
}

Json layer(const image::Image& image) {
    const image::Info i = image.info();
    Json out = {{"file", i.path}, {"format", i.format}, {"bytes", i.bytes}, {"read_only", i.read_only}};
    if (!i.backing_file.empty()) out["backing_file"] = i.backing_file;
    if (!i.backing_format.empty()) out["backing_format"] = i.backing_format;
    return out;
}

Json described(const image::SnapshotInfo& s) {
    return {{"id", s.id},
            {"name", s.name},
            {"date", s.date_seconds},
            {"date_ns", s.date_nanoseconds},
            {"vm_clock_ns", s.vm_clock_ns},
            {"vm_state_bytes", s.vm_state_bytes},
            {"bytes", s.disk_bytes}};
}

[[noreturn]] void refuse(image::Fault fault, const std::string& text) { throw image::Error(fault, text); }

constexpr u64 kPiece = 1 << 20;

void store_vm_state(image::Image& image, const std::string& path, image::SnapshotInfo& about) {
    std::ifstream in(path, std::ios::binary);
    if (!in) refuse(image::Fault::kNotFound, path + ": the machine's state cannot be read");
    std::vector<char> buffer(kPiece);
    while (in) {
        in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
        const auto n = static_cast<std::size_t>(in.gcount());
        if (!n) break;
        image.write_vm_state(about.vm_state_bytes, {reinterpret_cast<const u8*>(buffer.data()), n});
        about.vm_state_bytes += n;
    }
}

void fetch_vm_state(image::Image& image, const std::string& path, u64 bytes) {
    std::ofstream out(path, std::ios::binary | std::ios::trunc);
    std::vector<u8> buffer(kPiece);
    for (u64 at = 0; at < bytes && out;) {
        const auto part = std::span(buffer).first(std::min(kPiece, bytes - at));
        image.read_vm_state(at, part);
        out.write(reinterpret_cast<const char*>(part.data()), static_cast<std::streamsize>(part.size()));
        at += part.size();
    }
    out.close();
    if (!out) refuse(image::Fault::kIo, path + ": the machine's state cannot be written");
}

u64 vm_state_of(const image::Image& image, const std::string& which) {
    const auto list = image.snapshots();
    for (const auto& s : list)
        if (s.id == which) return s.vm_state_bytes;
    for (const auto& s : list)
        if (s.name == which) return s.vm_state_bytes;
    return 0;
}

}  // namespace

const bp_commands Drive::kCommands{
    sizeof(bp_commands), [](void* i) { return static_cast<Drive*>(i)->command_list(); },
    [](void* i, bp_str command, bp_str arguments, void (*answer)(void*, bp_str), void* context) -> bp_status {
        auto* drive = static_cast<Drive*>(i);
        try {
            const std::string text = drive->execute(to_view(command), to_view(arguments));
            answer(context, to_bp(text));
            return BP_OK;
        } catch (const image::Error& e) {
            return drive->fail(image::status_of(e), "%s", e.what());
        } catch (const std::bad_alloc&) {
            return BP_ERR_NO_MEMORY;
        } catch (const std::exception& e) {
            return drive->fail(BP_ERR_INVALID, "%s", e.what());
        }
    }};

bp_str Drive::command_list() const { return to_bp(table_text()); }

std::string Drive::execute(std::string_view command, std::string_view arguments) {
    const Json a = arguments.empty() ? Json::object() : Json::parse(arguments);
    const auto flag = [&a](const char* name, bool otherwise) { return a.value(name, otherwise); };
    if (command == "info") return describe_now();
    if (command == "eject") {
        eject(flag("force", false));
    } else if (command == "change") {
        if (locked_ && !tray_open_ && !empty() && !flag("force", false)) eject(false);
        change({a.at("file").get<std::string>(), a.value("format", std::string("auto")),
                flag("read_only", disc_.file.empty() ? read_only_ : disc_.read_only)});
    } else if (command == "open-tray") {
        open_tray(flag("force", false));
    } else if (command == "close-tray") {
        close_tray();
    } else if (command == "commit") {
        image::commit(own_image());
        medium_.touched();
    } else if (command == "resize") {
        own_image().resize(a.at("bytes").get<u64>());
        medium_.touched();
        note_disc();
    } else if (command == "snapshot-list") {
        Json list = Json::array();
        for (const image::SnapshotInfo& s : own_image().snapshots()) list.push_back(described(s));
        return list.dump();
    } else if (command == "snapshot-create") {
        image::SnapshotInfo about;
        about.name = a.at("name").get<std::string>();
        about.vm_clock_ns = a.value("vm_clock_ns", u64{0});
        timespec now{};
        clock_gettime(CLOCK_REALTIME, &now);
        about.date_seconds = static_cast<u64>(now.tv_sec);
        about.date_nanoseconds = static_cast<u32>(now.tv_nsec);
        if (a.contains("vm_state")) store_vm_state(own_image(), a["vm_state"].get<std::string>(), about);
        return Json{{"id", own_image().create_snapshot(about)}}.dump();
    } else if (command == "snapshot-apply") {
        const std::string which = a.at("name").get<std::string>();
        const u64 state = vm_state_of(own_image(), which);
        if (a.contains("vm_state") && !state)
            refuse(image::Fault::kNotFound, label() + ": the snapshot " + which + " has no state of the machine");
        own_image().apply_snapshot(which);
        medium_.touched();
        if (a.contains("vm_state")) fetch_vm_state(own_image(), a["vm_state"].get<std::string>(), state);
    } else if (command == "snapshot-delete") {
        own_image().delete_snapshot(a.at("name").get<std::string>());
    } else {
        refuse(image::Fault::kUnsupported, "there is no command " + std::string(command));
    }
    return "{}";
}

image::Image& Drive::own_image() {
    if (image_) refuse(image::Fault::kUnsupported, "the image is another device's (link image)");
    if (empty()) refuse(image::Fault::kNotFound, "there is no medium in the drive");
    return medium_.image();
}

std::string Drive::describe_now() {
    static constexpr const char* kWrite[] = {"enospc", "stop", "report", "ignore"};
    static constexpr const char* kRead[] = {"report", "stop", "ignore"};
    Json out = {{"removable", removable_},
                {"tray_open", tray_open_},
                {"locked", locked_},
                {"inserted", !empty()},
                {"cache", image::cache_name(static_cast<image::Cache>(cache_))},
                {"discard", discard_},
                {"werror", kWrite[static_cast<unsigned>(werror_)]},
                {"rerror", kRead[static_cast<unsigned>(rerror_)]},
                {"held", held_.size()}};
    if (!id_.empty()) out["id"] = id_;
    if (!serial_.empty()) out["serial"] = serial_;
    const auto count = [this](u32 operation) {
        const Count& c = counts_[operation];
        return Json{{"requests", c.requests}, {"bytes", c.bytes}, {"errors", c.errors}};
    };
    out["statistics"] = {{"reads", count(BP_BLOCK_READ)},
                         {"writes", count(BP_BLOCK_WRITE)},
                         {"flushes", count(BP_BLOCK_FLUSH)},
                         {"discards", count(BP_BLOCK_DISCARD)}};
    if (medium_) {
        const image::Image& image = medium_.image();
        const image::Info i = image.info();
        out.update(layer(image));
        out["probed"] = i.probed;
        out["snapshot"] = i.temporary;
        out["host_bytes"] = image.host_bytes();
        out["io"] = medium_.uring() ? "io_uring" : "threads";
        Json backing = Json::array();
        for (const image::Image* b = image.backing(); b; b = b->backing()) backing.push_back(layer(*b));
        out["backing"] = std::move(backing);
    } else if (source_) {
        bp_block_info i{};
        i.size = sizeof i;
        source_->info(source_instance_, &i);
        out["bytes"] = i.bytes;
        out["read_only"] = i.read_only != 0;
    }
    return out.dump();
}

void Drive::eject(bool force) {
    if (!removable_ || image_) refuse(image::Fault::kUnsupported, label() + " cannot be taken out of its drive");
    if (empty()) return;
    if (locked_ && !tray_open_ && !force) {
        ask_to_open();
        refuse(image::Fault::kInUse,
               "the guest has locked the tray; it has been asked to let the medium go (force: "
               "take it out all the same)");
    }
    give_up_held(ENOMEDIUM, false);
    if (!tray_open_) tell_tray(true);
    remove();
    // A tray that was closed is so again.
    if (!tray_open_) tell_tray(false);
    if (listener_ && listener_->medium_changed) listener_->medium_changed(listener_instance_);
}

void Drive::ask_to_open() {
    if (listener_ && listener_->eject_request) listener_->eject_request(listener_instance_);
}

void Drive::open_tray(bool force) {
    if (!removable_ || image_) refuse(image::Fault::kUnsupported, label() + " is in a drive without a tray");
    if (tray_open_) return;
    if (locked_ && !force) return ask_to_open();
    give_up_held(ENOMEDIUM, false);
    tray_open_ = true;
    tell_tray(true);
    if (listener_ && listener_->medium_changed) listener_->medium_changed(listener_instance_);
}

void Drive::close_tray() {
    if (!removable_ || image_) refuse(image::Fault::kUnsupported, label() + " is in a drive without a tray");
    if (!tray_open_) return;
    tray_open_ = false;
    tell_tray(false);
    if (listener_ && listener_->medium_changed) listener_->medium_changed(listener_instance_);
}

void Drive::tell_tray(bool open) {
    if (!slot().events()) return;
    const std::string data = Json{{"open", open}}.dump();
    slot().events()->tell(slot().self(), to_bp("tray-moved"), to_bp(data));
}

void Drive::tell_error(u32 operation, i32 error, OnError action) {
    if (!slot().events()) return;
    const Json data = {{"operation", operation == BP_BLOCK_READ ? "read" : "write"},
                       {"action", action == OnError::kStop     ? "stop"
                                  : action == OnError::kIgnore ? "ignore"
                                                               : "report"},
                       {"nospace", error == ENOSPC || error == EDQUOT},
                       {"reason", std::strerror(error)}};
    const std::string text = data.dump(-1, ' ', false, Json::error_handler_t::replace);
    slot().events()->tell(slot().self(), to_bp("io-error"), to_bp(text));
}

void Drive::change(const Disc& disc) {
    if (!removable_ || image_) refuse(image::Fault::kUnsupported, label() + " cannot be taken out of its drive");
    // Opened on trial: what is in the drive stays there if the new one is none. Two openings of one file collide, so
    // that one goes first.
    if (disc.file != disc_.file) {
        image::OpenOptions trial = options(disc);
        trial.read_only = true;
        image::open(trial);
    }
    give_up_held(ENOMEDIUM, false);
    const Disc old = disc_;
    if (!tray_open_) tell_tray(true);
    try {
        insert(disc);
    } catch (const image::Error&) {
        try {
            if (!old.file.empty()) insert(old);
        } catch (const image::Error&) {
            // The drive is empty, and the guest hears so.
            if (listener_ && listener_->medium_changed) listener_->medium_changed(listener_instance_);
        }
        if (!tray_open_) tell_tray(false);
        throw;
    }
    tray_open_ = false;
    tell_tray(false);
    if (listener_ && listener_->medium_changed) listener_->medium_changed(listener_instance_);
}

}  // namespace backplane::drive
