#include "kernel/trace/tracer.hpp"

#include <cerrno>
#include <cstring>

#include "kernel/config/error.hpp"

namespace backplane::kernel {

bool matches(std::string_view pattern, std::string_view name) {
    std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
    while (n < name.size()) {
        if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
            ++p, ++n;
        } else if (p < pattern.size() && pattern[p] == '*') {
            star = p++, mark = n;
        } else if (star != std::string_view::npos) {
            p = star + 1, n = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

Tracer::~Tracer() {
    if (file_) std::fclose(file_);
}

void Tracer::configure(std::string_view patterns) {
    patterns_.clear();
    while (!patterns.empty()) {
        const auto comma = patterns.find(',');
        if (const auto one = patterns.substr(0, comma); !one.empty()) patterns_.emplace_back(one);
        patterns.remove_prefix(comma == std::string_view::npos ? patterns.size() : comma + 1);
    }
    for (Point& p : points_) *p.flag = wanted(p.name) ? 1 : 0;
}

void Tracer::open(const std::string& path) {
    std::FILE* f = std::fopen(path.c_str(), "we");
    if (!f) throw Error("cannot write the trace to " + path + ": " + std::strerror(errno));
    if (file_) std::fclose(file_);
    file_ = f;
}

void Tracer::add(std::string name, std::uint32_t* flag) {
    *flag = wanted(name) ? 1 : 0;
    points_.push_back({std::move(name), flag});
}

void Tracer::remove(const std::uint32_t* flag) {
    std::erase_if(points_, [flag](const Point& p) { return p.flag == flag; });
}

bool Tracer::wanted(std::string_view name) const {
    bool on = false;
    for (const std::string& p : patterns_) {
        if (p[0] == '-') {
            if (matches(std::string_view(p).substr(1), name)) on = false;
        } else if (matches(p, name)) {
            on = true;
        }
    }
    return on;
}

void Tracer::emit(std::int64_t now, std::string_view name, std::string_view text) {
    std::FILE* out = file_ ? file_ : stderr;
    std::fprintf(out, "%lld.%09lld %.*s %.*s\n", static_cast<long long>(now / 1'000'000'000),
                 static_cast<long long>(now % 1'000'000'000), static_cast<int>(name.size()), name.data(),
                 static_cast<int>(text.size()), text.data());
}

}  // namespace backplane::kernel
