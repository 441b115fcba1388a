#include "monitor/vm_state.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "monitor/drives.hpp"

namespace backplane::monitor {

namespace {

// A file that exists for the time of one command.
struct TemporaryFile {
    std::string path = (std::filesystem::temp_directory_path() / "backplane-state-XXXXXX").string();
    TemporaryFile() {
        const int fd = ::mkstemp(path.data());
        if (fd < 0) throw std::runtime_error(path + ": cannot be made");
        ::close(fd);
    }
    ~TemporaryFile() {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }
};

// The machine stands still as long as this lives.
class Standing {
  public:
    explicit Standing(const Call& call) : call_(call), ran_(call("query-status", Json::object()).at("running")) {
        if (ran_) call_("stop", Json::object());
    }
    ~Standing() {
        try {
            if (ran_) call_("cont", Json::object());
        } catch (const std::exception&) {}  // the machine has ended
    }

  private:
    const Call& call_;
    bool ran_;
};

// Every drive that the guest can write to takes part; the first one keeps the machine's state.
std::vector<Drive> keepers(const Call& call) {
    std::vector<Drive> list;
    for (Drive& d : drives(call)) {
        if (d.read_only() || d.file().empty()) continue;
        if (!d.can("snapshot-create") || d.format() != "qcow2")
            throw std::runtime_error("drive " + d.id + " (" + (d.format().empty() ? "unknown format" : d.format()) +
                                     ") is writable and cannot keep snapshots; qcow2 images can");
        list.push_back(std::move(d));
    }
    if (list.empty())
        throw std::runtime_error("no drive of the machine can keep snapshots: none has a writable qcow2 image");
    return list;
}

void check_name(const std::string& name) {
    if (name.empty()) throw std::runtime_error("the snapshot needs a name");
}

}  // namespace

void save_vm(const Call& call, const std::string& name) {
    check_name(name);
    const std::vector<Drive> list = keepers(call);
    const TemporaryFile state;
    const Standing standing(call);
    call("save-state", {{"path", state.path}});
    std::size_t done = 0;
    try {
        for (; done < list.size(); ++done) {
            Json arguments = {{"name", name}};
            arguments["vm_clock_ns"] = call("query-stats", Json::object()).at("time-ns");
            if (done == 0) arguments["vm_state"] = state.path;
            drive_command(call, list[done], "snapshot-create", arguments);
        }
    } catch (const std::exception&) {
        // All or none.
        for (std::size_t i = 0; i < done; ++i) drive_command(call, list[i], "snapshot-delete", {{"name", name}});
        throw;
    }
}

void load_vm(const Call& call, const std::string& name) {
    check_name(name);
    const std::vector<Drive> list = keepers(call);
    const TemporaryFile state;
    const Standing standing(call);
    for (std::size_t i = 0; i < list.size(); ++i) {
        Json arguments = {{"name", name}};
        if (i == 0) arguments["vm_state"] = state.path;
        drive_command(call, list[i], "snapshot-apply", arguments);
    }
    std::error_code ignored;
    if (std::filesystem::file_size(state.path, ignored) == 0)
        throw std::runtime_error("snapshot " + name + " of " + list[0].id +
                                 " holds no state of a machine; the disks are as they were then");
    call("load-state", {{"path", state.path}, {"force", true}});
}

void delete_vm(const Call& call, const std::string& name) {
    check_name(name);
    std::string failure;
    bool deleted = false;
    for (const Drive& d : keepers(call)) {
        try {
            drive_command(call, d, "snapshot-delete", {{"name", name}});
            deleted = true;
        } catch (const std::exception& e) {
            failure = e.what();
        }
    }
    if (!deleted) throw std::runtime_error(failure);
}

Json list_vms(const Call& call) {
    for (const Drive& d : drives(call))
        if (!d.read_only() && !d.file().empty() && d.can("snapshot-list") && d.format() == "qcow2")
            return drive_command(call, d, "snapshot-list");
    return Json::array();
}

}  // namespace backplane::monitor
