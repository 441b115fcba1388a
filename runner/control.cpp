#include "runner/control.hpp"

#include <pthread.h>

#include "kernel/machine/machine.hpp"
#include "runner/keys.hpp"

namespace backplane::runner {

using kernel::Arguments;
using kernel::CommandError;
using kernel::Json;
using kernel::Reply;
using Type = kernel::ArgumentSpec::Type;

namespace {

constexpr std::size_t kMostKeys = 16;
constexpr i64 kLongestHold = 10'000;  // ms

// The monitor's functions return an error text that ends its line, or "".
void check(std::string error) {
    while (!error.empty() && error.back() == '\n') error.pop_back();
    if (!error.empty()) throw CommandError(error);
}

// [{"type": "qcode", "data": "ctrl"}, {"type": "number", "data": 46}, "c"]
std::vector<std::uint32_t> keys_of(const Json& list) {
    std::vector<std::uint32_t> codes;
    if (list.empty() || list.size() > kMostKeys)
        throw CommandError("argument `keys`: expected 1 to " + std::to_string(kMostKeys) + " keys");
    for (const Json& key : list) {
        const Json name = key.is_object() && key.contains("data") ? key["data"] : key;
        if (name.is_string()) {
            const auto code = key_codes(name.get<std::string>());
            if (!code) throw CommandError("there is no key " + kernel::quoted_name(name.get<std::string>(), {}));
            codes.insert(codes.end(), code->begin(), code->end());
        } else if (name.is_number_unsigned() && name.get<u64>() > 0 && name.get<u64>() < 0x180) {
            codes.push_back(name.get<std::uint32_t>());
        } else {
            throw CommandError("argument `keys`: expected {\"type\": \"qcode\", \"data\": NAME}");
        }
    }
    return codes;
}

}  // namespace

RunnerCommands::RunnerCommands(kernel::Machine& machine, Monitor& monitor) : machine_(machine), monitor_(monitor) {
    machine_.control().add({.name = "human-monitor-command",
                            .help = "runs a line of the monitor (Ctrl-A c) and returns what it prints",
                            .arguments = {{"command-line", Type::kText, false, "such as `help`"}},
                            .begin = [this](const Arguments& a, Reply reply) {
                                later(reply, [this, line = a.text("command-line")] { return monitor_.run(line); });
                            }});
    add_screen_and_power();
    add_keys();
    thread_ = std::thread([this] { loop(); });
}

RunnerCommands::~RunnerCommands() {
    monitor_.end();
    {
        const std::lock_guard g(mutex_);
        ended_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

void RunnerCommands::add_screen_and_power() {
    kernel::Control& control = machine_.control();
    control.add({.name = "screendump",
                 .help = "writes the picture of the screen to a file",
                 .arguments = {{"filename", Type::kText, false, "the file"},
                               {"format", Type::kText, true, "ppm (default) or png"}},
                 .begin = [this](const Arguments& a, Reply reply) {
                     const std::string format = a.text("format", "ppm");
                     if (format != "ppm" && format != "png")
                         throw CommandError("argument `format`: expected ppm or png");
                     const auto kind = format == "png" ? PictureFormat::kPng : PictureFormat::kPpm;
                     later(reply, [this, path = a.text("filename"), kind] {
                         check(monitor_.screendump(path, kind));
                         return Json::object();
                     });
                 }});
    control.add_event("POWERDOWN", "the power button was pressed");
    control.add({.name = "system_powerdown",
                 .help = "presses the power button; fails if the guest does not listen to it",
                 .begin = [this, &control](const Arguments&, Reply reply) {
                     later(reply, [this, &control] {
                         check(monitor_.power_button());
                         control.emit_soon("POWERDOWN");
                         return Json::object();
                     });
                 }});
}

void RunnerCommands::add_keys() {
    machine_.control().add(
        {.name = "send-key",
         .help = "presses keys together and lets them go",
         .arguments = {{"keys", Type::kList, false,
                        "{\"type\": \"qcode\", \"data\": NAME}, or with \"number\" a scan code"},
                       {"hold-time", Type::kNumber, true, "milliseconds that they stay pressed; left out: none"}},
         .begin = [this](const Arguments& a, Reply reply) {
             const auto codes = keys_of(a.value("keys"));
             const i64 hold = a.number("hold-time");
             if (hold < 0 || hold > kLongestHold)
                 throw CommandError("argument `hold-time`: expected 0 to " + std::to_string(kLongestHold));
             later(reply, [this, codes, hold] {
                 check(monitor_.change_keys(codes, true));
                 if (hold > 0) {
                     std::unique_lock lock(mutex_);
                     wake_.wait_for(lock, std::chrono::milliseconds(hold), [this] { return ended_; });
                 }
                 check(monitor_.change_keys({codes.rbegin(), codes.rend()}, false));
                 return Json::object();
             });
         }});
}

void RunnerCommands::later(const Reply& reply, Work work) {
    {
        const std::lock_guard g(mutex_);
        queue_.push_back([reply, work = std::move(work)] {
            try {
                reply.ok(work());
            } catch (const CommandError& e) {
                reply.fail(e);
            } catch (const std::exception& e) {
                reply.fail(CommandError(e.what()));
            }
        });
    }
    wake_.notify_all();
}

void RunnerCommands::loop() {
    ::pthread_setname_np(::pthread_self(), "monitor");
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return ended_ || !queue_.empty(); });
        if (ended_) return;
        const auto work = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        work();
        lock.lock();
    }
}

}  // namespace backplane::runner
