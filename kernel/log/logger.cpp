#include "kernel/log/logger.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"

namespace backplane::kernel {

namespace {

inline constexpr u32 kMaxDevices = 4096;
inline constexpr std::size_t kMaxRemembered = 4096;  // texts of one device
inline constexpr double kBurst = 20;                 // new texts of one device at once
inline constexpr double kPerSecond = 5;              // and afterwards
inline constexpr std::size_t kMaxText = 4096;

// What a kind is called, and the level from which it shows.
struct KindInfo {
    const char* name;
    LogLevel level;
    spdlog::level::level_enum spd;
};
constexpr KindInfo kKinds[] = {
    {"guest", LogLevel::kWarn, spdlog::level::warn},    {"unimplemented", LogLevel::kWarn, spdlog::level::warn},
    {"unusual", LogLevel::kDebug, spdlog::level::info}, {"unverified", LogLevel::kDebug, spdlog::level::info},
    {"debug", LogLevel::kDebug, spdlog::level::debug},  {"info", LogLevel::kInfo, spdlog::level::info},
    {"warning", LogLevel::kWarn, spdlog::level::warn},  {"error", LogLevel::kError, spdlog::level::err},
};
const KindInfo& kind_info(u32 kind) { return kKinds[kind < std::size(kKinds) ? kind : u32{BP_LOG_ERROR}]; }
constexpr bool is_ignorance(u32 kind) { return kind <= BP_LOG_UNVERIFIED; }

const std::vector<std::string>& level_names() {
    static const std::vector<std::string> names = {"debug", "info", "warn", "error", "off"};
    return names;
}

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit FunctionSink(std::function<void(std::string_view)> function) : function_(std::move(function)) {
        set_formatter_(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::local, ""));
    }

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        function_({line.data(), line.size()});
    }
    void flush_() override {}

  private:
    std::function<void(std::string_view)> function_;
};

// `*` stands for any letters.
bool matches(std::string_view pattern, std::string_view name) {
    std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
    while (n < name.size()) {
        if (p < pattern.size() && pattern[p] == '*')
            star = p++, mark = n;
        else if (p < pattern.size() && pattern[p] == name[n])
            ++p, ++n;
        else if (star != std::string_view::npos)
            p = star + 1, n = ++mark;
        else
            return false;
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

// A guest writes part of these texts: nothing in them may steer the terminal.
std::string printable(std::string_view text) {
    std::string out(text.substr(0, kMaxText));
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = c == '\n' || c == '\t' ? ' ' : '?';
    return out;
}

}  // namespace

struct Logger::Impl {
    struct Device {
        std::string name;
        std::atomic<int> level{static_cast<int>(LogLevel::kInfo)};
        // Under the mutex:
        std::unordered_set<std::string> said;
        double tokens = kBurst;
        std::chrono::steady_clock::time_point filled = std::chrono::steady_clock::now();
        bool told_held_back = false;
    };
    struct Rule {
        std::string pattern;
        LogLevel level;
    };

    explicit Impl(spdlog::sink_ptr sink) : out("backplane", std::move(sink)) { out.set_level(spdlog::level::trace); }
    ~Impl() {
        for (auto& slot : devices) delete slot.load();
    }

    LogLevel level_of(std::string_view name) const {
        LogLevel level = LogLevel::kInfo;
        for (const Rule& rule : rules)
            if (matches(rule.pattern, name)) level = rule.level;
        return level;
    }

    // Whether a text of one of the kinds of ignorance is new and within the rate. Under the mutex.
    bool admit(Device& d, u32 kind, const std::string& text) {
        std::string key = std::to_string(kind) + text;
        if (d.said.contains(key)) return false;
        const auto now = std::chrono::steady_clock::now();
        d.tokens = std::min(kBurst, d.tokens + kPerSecond * std::chrono::duration<double>(now - d.filled).count());
        d.filled = now;
        if (d.tokens < 1 || d.said.size() >= kMaxRemembered) {
            if (!d.told_held_back) out.log(spdlog::level::warn, "{}: more of the like is held back", d.name);
            d.told_held_back = true;
            return false;
        }
        d.tokens -= 1;
        d.told_held_back = false;
        d.said.insert(std::move(key));
        return true;
    }

    spdlog::logger out;
    std::mutex mutex;
    std::vector<Rule> rules;
    std::map<std::string, u32, std::less<>> by_name;
    std::array<std::atomic<Device*>, kMaxDevices> devices{};
    std::atomic<u64> suppressed{0};
};

Logger::Logger() {
    auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
    sink->set_pattern("%H:%M:%S.%e %^%L%$ %v");
    impl_ = std::make_unique<Impl>(std::move(sink));
}

Logger::Logger(std::function<void(std::string_view)> sink)
    : impl_(std::make_unique<Impl>(std::make_shared<FunctionSink>(std::move(sink)))) {}

Logger::~Logger() { flush(); }

void Logger::configure(std::string_view spec, const std::string& option) {
    std::vector<Impl::Rule> rules;
    for (std::size_t begin = 0; begin < spec.size();) {
        const std::size_t end = std::min(spec.find(',', begin), spec.size());
        const std::string_view part = spec.substr(begin, end - begin);
        begin = end + 1;
        if (part.empty()) continue;
        const auto equals = part.find('=');
        // A level alone is for every device.
        const std::string_view pattern = equals == std::string_view::npos ? "*" : part.substr(0, equals);
        const std::string level(equals == std::string_view::npos ? part : part.substr(equals + 1));
        const auto known = std::find(level_names().begin(), level_names().end(), level);
        if (known == level_names().end() || pattern.empty())
            throw Error(option + " " + std::string(spec) + ": expected DEVICE=LEVEL with the level " +
                        list_of(level_names()) + ", not " + in_ticks(part));
        rules.push_back({std::string(pattern), static_cast<LogLevel>(known - level_names().begin())});
    }
    const std::lock_guard lock(impl_->mutex);
    for (Impl::Rule& rule : rules) {
        // The last match counts: an earlier rule for the same pattern has no effect any more.
        std::erase_if(impl_->rules, [&](const Impl::Rule& r) { return r.pattern == rule.pattern; });
        impl_->rules.push_back(std::move(rule));
    }
    for (auto& slot : impl_->devices)
        if (Impl::Device* d = slot.load()) d->level = static_cast<int>(impl_->level_of(d->name));
}

u32 Logger::device(std::string_view name) {
    const std::lock_guard lock(impl_->mutex);
    if (const auto it = impl_->by_name.find(name); it != impl_->by_name.end()) return it->second;
    const u32 index = static_cast<u32>(impl_->by_name.size());
    // No board comes near; what lies beyond shares the last place.
    if (index >= kMaxDevices) return kMaxDevices - 1;
    auto* d = new Impl::Device;
    d->name = std::string(name);
    d->level = static_cast<int>(impl_->level_of(name));
    impl_->devices[index] = d;
    impl_->by_name.emplace(std::string(name), index);
    return index;
}

bool Logger::enabled(u32 device, u32 kind) const {
    const Impl::Device* d = device < kMaxDevices ? impl_->devices[device].load(std::memory_order_acquire) : nullptr;
    return d && static_cast<int>(kind_info(kind).level) >= d->level.load(std::memory_order_relaxed);
}

void Logger::log(u32 device, u32 kind, std::string_view raw) {
    if (!enabled(device, kind)) return;
    Impl::Device& d = *impl_->devices[device].load(std::memory_order_acquire);
    const std::string text = printable(raw);
    const std::lock_guard lock(impl_->mutex);
    if (is_ignorance(kind) && !impl_->admit(d, kind, text)) {
        ++impl_->suppressed;
        return;
    }
    const KindInfo& info = kind_info(kind);
    impl_->out.log(info.spd, "{}: {}: {}", d.name, info.name, text);
}

u64 Logger::suppressed() const { return impl_->suppressed; }
void Logger::flush() { impl_->out.flush(); }

}  // namespace backplane::kernel
