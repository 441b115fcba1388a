#include "runner/request.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "kernel/config/error.hpp"
#include "kernel/state/snapshot.hpp"

namespace backplane::runner {

namespace {
std::string whole(const std::string& file) { return std::filesystem::absolute(file).lexically_normal().string(); }
}  // namespace

std::string request_json(const kernel::BoardRequest& request, const kernel::BoardSpec& board) {
    nlohmann::ordered_json json;
    json["machine"] = request.machine.find('/') == std::string::npos ? request.machine : whole(request.machine);
    json["vm"] = board.vm_file.empty() ? request.vm_file : whole(board.vm_file);
    auto& settings = json["settings"] = nlohmann::ordered_json::object();
    // The user's own words first; parameters then as they were understood, paths in full.
    for (const kernel::Setting& s : request.settings)
        if (s.path == "name" || s.path.starts_with("devices.") || s.path.starts_with("lines.") ||
            s.path.starts_with("clock.") || s.path.starts_with("spaces."))
            settings[s.path] = s.value;
    for (const kernel::Parameter& p : board.parameters)
        if (p.given && p.has_value) settings[p.path] = p.value;
    return json.dump();
}

kernel::BoardRequest saved_request(const std::string& snapshot) {
    const kernel::SnapshotFile file(snapshot);
    const auto json = nlohmann::json::parse(file.snapshot().request_json, nullptr, false);
    const auto text = [&](const char* key) {
        return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
    };
    kernel::BoardRequest request;
    request.machine = text("machine"), request.vm_file = text("vm");
    if (request.machine.empty() && request.vm_file.empty())
        throw kernel::Error(snapshot + ": it does not say how the machine was started; name the VM file or the board");
    if (json.contains("settings") && json["settings"].is_object())
        for (const auto& [path, value] : json["settings"].items())
            if (value.is_string()) request.settings.push_back({path, value.get<std::string>(), snapshot + ": " + path});
    return request;
}

}  // namespace backplane::runner
