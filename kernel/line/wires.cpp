#include "kernel/line/wires.hpp"

#include <algorithm>

namespace backplane::kernel {

std::uint32_t Wires::add(std::string name) {
    wires_.push_back({std::move(name), {}, {}, 0});
    return static_cast<std::uint32_t>(wires_.size() - 1);
}

std::uint32_t Wires::add_driver(std::uint32_t wire) {
    wires_[wire].drivers.push_back(false);
    return static_cast<std::uint32_t>(wires_[wire].drivers.size() - 1);
}

void Wires::drive(std::uint32_t wire, std::uint32_t driver, bool level) {
    Wire& w = wires_[wire];
    if (w.drivers[driver] == level) return;
    w.drivers[driver] = level;
    w.high += level ? 1u : ~0u;
    if (level ? w.high != 1 : w.high != 0) return;  // another driver holds the wire: no change
    if (depth_ >= kMaxDepth) {
        if (report_) report_(w.name, "line changes are nested too deeply; the innermost is dropped");
        return;
    }
    ++depth_;
    for (const Sink& s : w.sinks) {
        if (s.device >= inputs_.size()) inputs_.resize(s.device + 1);
        auto& of_device = inputs_[s.device];
        if (s.input >= of_device.size()) of_device.resize(s.input + 1, 0);
        of_device[s.input] += level ? 1u : ~0u;
        if (level ? of_device[s.input] == 1 : of_device[s.input] == 0) {
            if (watch_) watch_(s.device, s.input, level);
            if (s.changed) s.changed(s.instance, s.line, level ? 1 : 0);
        }
    }
    --depth_;
}

void Wires::settle() {
    for (auto& of_device : inputs_) std::fill(of_device.begin(), of_device.end(), 0u);
    for (Wire& w : wires_) {
        w.high = static_cast<std::uint32_t>(std::count(w.drivers.begin(), w.drivers.end(), true));
        if (w.high == 0) continue;
        for (const Sink& s : w.sinks) {
            if (s.device >= inputs_.size()) inputs_.resize(s.device + 1);
            auto& of_device = inputs_[s.device];
            if (s.input >= of_device.size()) of_device.resize(s.input + 1, 0);
            ++of_device[s.input];
        }
    }
}

bool Wires::input(std::uint32_t device, std::uint32_t input) const {
    return device < inputs_.size() && input < inputs_[device].size() && inputs_[device][input] > 0;
}

}  // namespace backplane::kernel
