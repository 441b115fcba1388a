#include "monitor/qmp_events.hpp"

#include "monitor/drives.hpp"

namespace backplane::monitor {

std::vector<std::pair<std::string, std::string>> qmp_event_names() {
    return {{"BLOCK_IO_ERROR", "a request to a drive failed: device, operation, action, nospace, reason"},
            {"DEVICE_TRAY_MOVED", "a drive's tray was opened or closed: device, id, tray-open"}};
}

const QmpEvents::Names* QmpEvents::find(const std::string& device) {
    if (!names_) {
        names_.emplace();
        for (const Drive& d : drives(call_)) names_->push_back({d.device, d.id, d.attachment});
    }
    for (const Names& n : *names_)
        if (n.device == device) return &n;
    return nullptr;
}

std::string QmpEvents::translate(std::string text) {
    if (text.find("\"BACKPLANE_DEVICE\"") == std::string::npos) return text;
    try {
        Json event = Json::parse(text);
        if (event.at("event") != "BACKPLANE_DEVICE") return text;
        const Json said = event.at("data");
        const std::string what = said.at("event");
        if (what != "tray-moved" && what != "io-error") return text;
        const Names* drive = find(said.at("device"));
        if (!drive) return text;
        Json data = said.at("data");
        if (what == "tray-moved") {
            event["event"] = "DEVICE_TRAY_MOVED";
            event["data"] = {
                {"device", drive->id}, {"id", drive->attachment}, {"tray-open", data.at("open").get<bool>()}};
        } else {
            event["event"] = "BLOCK_IO_ERROR";
            data["device"] = data["node-name"] = drive->id;
            event["data"] = std::move(data);
        }
        return event.dump(-1, ' ', false, Json::error_handler_t::replace);
    } catch (const std::exception&) {
        return text;  // another device's, or the machine has ended
    }
}

}  // namespace backplane::monitor
