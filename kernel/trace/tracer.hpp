// Trace points by name: `--trace 'disk0.*,timer*'`. Off, a point costs its owner one load and one branch.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace backplane::kernel {

// Shell-like match with * and ?.
bool matches(std::string_view pattern, std::string_view name);

class Tracer {
  public:
    Tracer() = default;
    ~Tracer();
    Tracer(const Tracer&) = delete;
    Tracer& operator=(const Tracer&) = delete;

    // A comma-separated list of patterns over "device.point"; "-" before a pattern excludes. Replaces the former list.
    void configure(std::string_view patterns);
    // Where the lines go; standard error by default. Throws Error if the file cannot be written.
    void open(const std::string& path);

    // A point's flag word, owned by the caller and stable; it is set and cleared as the patterns change.
    void add(std::string name, std::uint32_t* flag);
    void remove(const std::uint32_t* flag);
    void emit(std::int64_t now, std::string_view name, std::string_view text);
    const auto& points() const { return points_; }

  private:
    struct Point {
        std::string name;
        std::uint32_t* flag;
    };
    bool wanted(std::string_view name) const;
    std::vector<Point> points_;
    std::vector<std::string> patterns_;
    std::FILE* file_ = nullptr;
};

}  // namespace backplane::kernel
