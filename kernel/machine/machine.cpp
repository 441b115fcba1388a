// A machine's making and end.
#include "kernel/machine/machine.hpp"

#include <time.h>

#include <cstdio>

#include "kernel/config/convert.hpp"
#include "kernel/control/control.hpp"
#include "kernel/debug/debugger.hpp"
#include "kernel/machine/builder.hpp"
#include "kernel/machine/cross_check.hpp"

namespace backplane::kernel {

namespace {

// Seconds since 1970 of "2010-01-01T00:00:00" (UTC) or "2010-01-01"; "host" is the host's clock.
std::int64_t start_time(const Value& value) {
    const std::string& text = to_text(value, "clock: `start`");
    if (text == "host") return ::time(nullptr);
    if (text == "host-local") {
        const std::time_t now = ::time(nullptr);
        std::tm local{};
        ::localtime_r(&now, &local);
        return now + local.tm_gmtoff;
    }
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
    const char* c = text.c_str();
    int n = std::sscanf(c, "%4d-%2d-%2d%n", &year, &month, &day, &used);
    bool good = n == 3;
    if (good && c[used] != '\0') {
        int more = 0;
        n = std::sscanf(c + used, "%*1[T ]%2d:%2d:%2d%n", &hour, &minute, &second, &more);
        used += more;
        if (n == 3 && c[used] == 'Z') ++used;
        good = n == 3 && c[used] == '\0';
    }
    good = good && year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour <= 23 && minute <= 59 &&
           second <= 59;
    if (!good)
        throw Error(value.position(),
                    "clock: `start`: expected host, host-local or a UTC date such as 2010-01-01T00:00:00, not " + text);
    std::tm t{};
    t.tm_year = year - 1900, t.tm_mon = month - 1, t.tm_mday = day, t.tm_hour = hour, t.tm_min = minute,
    t.tm_sec = second;
    return ::timegm(&t);
}

}  // namespace

Machine::Machine(const BoardSpec& board, PluginRegistry& registry, Logger& logger, Tracer& tracer,
                 MachineOptions options)
    : control_(std::make_unique<Control>([this](Control::Work work) { post(std::move(work)); },
                                         [this](Control::Work work) { at_standstill(std::move(work)); })),
      debugger_(std::make_unique<Debugger>(*this)),
      board_(board),
      registry_(registry),
      logger_(logger),
      tracer_(tracer),
      options_(std::move(options)),
      log_(logger.device("machine")) {
    make_clock();
    add_input(kResetChannel, [this](const u8*, std::size_t) { request(nullptr, BP_REQUEST_RESET, 0, "reset"); });
    if (options_.cross_check.block > 0) {
        if (!clock_->deterministic())
            throw Error("a cross-check needs the deterministic clock: two engines must get to the same instruction");
        cross_check_ = std::make_unique<CrossCheck>(*this, options_.cross_check);
    }
    live_ = new_assembly();
    lock_.lock();
    try {
        Builder builder(*this, *live_);
        builder.build();
        if (!options_.verify_only) builder.connect();
    } catch (...) {
        lock_.unlock();
        control_->end();
        Builder::tear_down(*this, *live_);
        throw;
    }
    if (clock_->deterministic() && !live_->vcpus.empty()) follow_clock(live_->vcpus.front());
    lock_.unlock();
}

Machine::~Machine() {
    control_->end();
    Builder::tear_down(*this, *live_);
    cross_check_.reset();  // needs the machine's lock
}

std::unique_ptr<Assembly> Machine::new_assembly() {
    auto assembly = std::make_unique<Assembly>([this](const std::string& wire, const std::string& text) {
        logger_.log(log_, BP_LOG_WARN, wire + ": " + text);
    });
    assembly->wires.watch([this, a = assembly.get()](u32 device, u32 input, bool level) {
        if (cross_check_) cross_check_->input(*a, device, input, level);
        if (a != live_.get()) return;
        if (line_watch_) line_watch_(*a->devices[device], false, input, level);
    });
    return assembly;
}

void Machine::make_clock() {
    auto mode = Clock::Mode::kRealtime;
    u64 ns_per_instruction = 10;
    random_state_ = 0x9E3779B97F4A7C15ull;
    const Value* start = nullptr;
    if (board_.clock.is_map()) {
        for (const Value::Entry& e : board_.clock.entries()) {
            if (e.key == "mode") {
                if (to_choice(e.value, "clock: `mode`", {"realtime", "deterministic"}) == "deterministic")
                    mode = Clock::Mode::kDeterministic;
            } else if (e.key == "ns_per_instruction") {
                ns_per_instruction = to_number(e.value, "clock: `ns_per_instruction`", 1, 1'000'000);
            } else if (e.key == "seed") {
                random_state_ = to_number(e.value, "clock: `seed`", 1);
            } else if (e.key == "start") {
                start = &e.value;
            } else {
                throw Error(e.position, "clock: unknown key `" + e.key + "`" +
                                            did_you_mean(e.key, {"mode", "ns_per_instruction", "seed", "start"}));
            }
        }
    }
    clock_ = std::make_unique<Clock>(mode, static_cast<std::int64_t>(ns_per_instruction));
    constexpr std::int64_t kDefaultStart = 1262304000;  // 2010-01-01: a deterministic run takes nothing from the host
    start_time_ = mode == Clock::Mode::kDeterministic ? kDefaultStart : ::time(nullptr);
    if (start) {
        if (mode == Clock::Mode::kDeterministic && start->is_scalar() &&
            (start->text() == "host" || start->text() == "host-local"))
            start_time_ = kDefaultStart;
        else
            start_time_ = start_time(*start);
    }
}

}  // namespace backplane::kernel
