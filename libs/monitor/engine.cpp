#include "monitor/engine.hpp"

namespace backplane::monitor {

bool runs_on_hardware(const Call& call) {
    for (const Json& c : call("cpu-list", Json::object())) {
        const std::string type = c.value("type", "");
        if (type != "cpu.kvm" && type != "cpu.auto") continue;
        const Json said = call("device-command", {{"device", c.at("name")}, {"command", "statistics"}});
        if (said.value("kvm", false)) return true;
    }
    return false;
}

}  // namespace backplane::monitor
