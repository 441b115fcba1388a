// Trace points by name: `--trace 'disk0.*,timer*'`. Off, a point costs its owner one load and one branch.
#pragma once

#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace backplane::kernel {

// Shell-like match with * and ?.
bool matches(std::string_view pattern, std::string_view name);

// All functions may be called from any thread while the points are in use.
class Tracer {
  public:
    Tracer() = default;
    ~Tracer();
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;

    // A comma-separated list of patterns over "device.point"; "-" before a pattern excludes. Replaces the former list.
    void configure(std::string_view patterns);
    // Adds patterns to the present list: to be traced, or not any more.
    void change(std::string_view patterns, bool on);
    std::string patterns() const;
    // Where the lines go; standard error by default. Throws Error if the file cannot be written.
    void open(const std::string& path);

    // A point's flag word, owned by the caller and stable; it is set and cleared as the patterns change.
    void add(std::string name, std::uint32_t* flag);
    void remove(const std::uint32_t* flag);
    void emit(std::int64_t now, std::string_view name, std::string_view text);
    struct State {
        std::string name;
        bool on;
    };
    std::vector<State> list() const;

  private:
    struct Point {
        std::string name;
        std::uint32_t* flag;
    };
    bool wanted(std::string_view name) const;
    void add_patterns(std::string_view patterns, std::string_view before);
    void refresh();
    mutable std::mutex mutex_;
    std::vector<Point> points_;
    std::vector<std::string> patterns_;
    std::FILE* file_ = nullptr;
};

}  // namespace backplane::kernel
