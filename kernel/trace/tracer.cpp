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
    const std::lock_guard g(mutex_);
    patterns_.clear();
    add_patterns(patterns, "");
    refresh();
}

void Tracer::change(std::string_view patterns, bool on) {
    const std::lock_guard g(mutex_);
    add_patterns(patterns, on ? "" : "-");
    refresh();
}

std::string Tracer::patterns() const {
    const std::lock_guard g(mutex_);
    std::string text;
    for (const std::string& p : patterns_) text += (text.empty() ? "" : ",") + p;
    return text;
}

std::vector<Tracer::State> Tracer::list() const {
    const std::lock_guard g(mutex_);
    std::vector<State> list;
    for (const Point& p : points_) list.push_back({p.name, *p.flag != 0});
    return list;
}

void Tracer::add_patterns(std::string_view patterns, std::string_view before) {
    while (!patterns.empty()) {
        const auto comma = patterns.find(',');
        if (const auto one = patterns.substr(0, comma); !one.empty()) {
            const std::string name(one.substr(one[0] == '-' ? 1 : 0));
            // The last pattern that matches counts: the same one further up has no effect any more.
            std::erase_if(patterns_, [&](const std::string& p) { return p == name || p == "-" + name; });
            patterns_.push_back(std::string(one[0] == '-' ? "-" : before) + name);
        }
        patterns.remove_prefix(comma == std::string_view::npos ? patterns.size() : comma + 1);
    }
}

// What was traced so far is complete in the file. A point's owner reads its flag without the mutex.
void Tracer::refresh() {
    if (file_) std::fflush(file_);
    for (Point& p : points_) __atomic_store_n(p.flag, wanted(p.name) ? 1u : 0u, __ATOMIC_RELAXED);
}

void Tracer::open(const std::string& path) {
    std::FILE* f = std::fopen(path.c_str(), "we");
    if (!f) throw Error("cannot write the trace to " + path + ": " + std::strerror(errno));
    const std::lock_guard g(mutex_);
    if (file_) std::fclose(file_);
    file_ = f;
}

void Tracer::add(std::string name, std::uint32_t* flag) {
    const std::lock_guard g(mutex_);
    *flag = wanted(name) ? 1 : 0;
    points_.push_back({std::move(name), flag});
}

void Tracer::remove(const std::uint32_t* flag) {
    const std::lock_guard g(mutex_);
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
    const std::lock_guard g(mutex_);
    std::FILE* out = file_ ? file_ : stderr;
    std::fprintf(out, "%lld.%09lld %.*s %.*s\n", static_cast<long long>(now / 1'000'000'000),
                 static_cast<long long>(now % 1'000'000'000), static_cast<int>(name.size()), name.data(),
                 static_cast<int>(text.size()), text.data());
}

}  // namespace backplane::kernel
