// Wires between devices: a wire is the OR of its drivers; its sinks hear changes only.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace backplane::kernel {

struct Sink {
    void* instance = nullptr;
    std::uint32_t device = 0;  // index of the device on the board
    std::uint32_t input = 0;   // index among the device's inputs
    std::uint32_t line = 0;    // within its bundle
    void (*changed)(void* instance, std::uint32_t line, int level) = nullptr;
};

class Wires {
  public:
    using Report = std::function<void(const std::string& wire, const std::string& text)>;
    explicit Wires(Report report) : report_(std::move(report)) {}

    // Hears every change of an input's level, before the device itself does.
    using Watch = std::function<void(std::uint32_t device, std::uint32_t input, bool level)>;
    void watch(Watch watch) { watch_ = std::move(watch); }

    std::uint32_t add(std::string name);
    void connect(std::uint32_t wire, Sink sink) { wires_[wire].sinks.push_back(sink); }
    // Every driver has its own level on the wire.
    std::uint32_t add_driver(std::uint32_t wire);

    // Delivered at once, in the caller's thread; a change within a change is delivered depth first, cut off at
    // kMaxDepth.
    void drive(std::uint32_t wire, std::uint32_t driver, bool level);
    // Sets a driver without telling anybody, for a restored machine whose devices know the level already; settle()
    // follows when all are set.
    void restore(std::uint32_t wire, std::uint32_t driver, bool level) { wires_[wire].drivers[driver] = level; }
    void settle();
    // Level of an input: the OR of all wires that lead to it.
    bool input(std::uint32_t device, std::uint32_t input) const;
    bool level(std::uint32_t wire) const { return wires_[wire].high > 0; }
    const std::string& name(std::uint32_t wire) const { return wires_[wire].name; }
    std::size_t count() const { return wires_.size(); }

    static constexpr int kMaxDepth = 16;

  private:
    struct Wire {
        std::string name;
        std::vector<Sink> sinks;
        std::vector<bool> drivers;
        std::uint32_t high = 0;  // drivers at level 1
    };

    std::vector<Wire> wires_;
    std::vector<std::vector<std::uint32_t>> inputs_;  // by device and input: how many wires hold it high
    Report report_;
    Watch watch_;
    int depth_ = 0;
};

}  // namespace backplane::kernel
