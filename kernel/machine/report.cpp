// What the machine tells of itself: for people who look why a guest hangs, and the file of executed instructions.
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "kernel/machine/machine.hpp"

namespace backplane::kernel {

std::string Machine::report() {
    std::string text;
    char line[512];
    lock_.lock();
    std::snprintf(line, sizeof line, "machine %s: %s at %lld.%09lld s, %llu instructions\n", board_.name.c_str(),
                  pause_requested_ ? "paused" : "running", static_cast<long long>(now() / 1'000'000'000),
                  static_cast<long long>(now() % 1'000'000'000), static_cast<unsigned long long>(instructions()));
    text += line;
    for (Vcpu& v : live_->vcpus) {
        char where[4096];
        const std::size_t n = v.table->where(v.engine, where, sizeof where);
        text += v.device->name() +
                (v.halted    ? " (halted)"
                 : v.running ? ""
                             : " (stopped)") +
                ": " + std::string(where, n);
        if (text.back() != '\n') text += '\n';
    }
    for (Instance& d : live_->all()) {
        std::string waits;
        for (std::size_t i = 0; i < d.timers.size(); ++i) {
            if (d.timers[i].due < 0) continue;
            std::snprintf(line, sizeof line, " timer %s in %.6f s", d.type->timers[i].name.c_str(),
                          static_cast<double>(d.timers[i].due - now()) * 1e-9);
            waits += line;
        }
        for (const LineInfo& l : d.type->outputs)
            for (u32 n = 0; n < l.count; ++n)
                if (d.levels[l.first + n]) waits += " drives " + l.line_name(n);
        for (const LineInfo& l : d.type->inputs)
            for (u32 n = 0; n < l.count; ++n)
                if (live_->wires.input(d.index, l.first + n)) waits += " hears " + l.line_name(n);
        if (d.refused_dma) {
            std::snprintf(line, sizeof line, " refused DMA to its own registers: %llu",
                          static_cast<unsigned long long>(d.refused_dma));
            waits += line;
        }
        if (!waits.empty()) text += d.name() + ":" + waits + "\n";
    }
    lock_.unlock();
    return text;
}

std::string Machine::trace_file(const std::string& path, const Vcpu& cpu) {
    return path.empty() || cpu.shared.index == 0 ? path : path + "." + cpu.device->name();
}

void Machine::trace_instructions(const std::string& path) {
    if (live_->vcpus.empty()) throw Error("there is no CPU to trace");
    // Engines append: one that takes over goes on in the same file.
    for (Vcpu& v : live_->vcpus) {
        const std::string file = trace_file(path, v);
        if (!file.empty()) {
            std::FILE* made = std::fopen(file.c_str(), "we");
            if (!made) throw Error("cannot trace instructions to " + file + ": " + std::strerror(errno));
            std::fclose(made);
        }
        v.device->failure.clear();
        if (v.table->trace_instructions(v.engine, {file.data(), file.size()}) != BP_OK)
            throw Error("cannot trace instructions to " + file +
                        (v.device->failure.empty() ? "" : ": " + v.device->failure));
    }
    trace_path_ = path;
}

u64 Machine::guest_memory() const {
    u64 sum = 0;
    for (std::size_t i = 0; i < ram_.count(); ++i) sum += ram_.block(i).size;
    return sum;
}

}  // namespace backplane::kernel
