// Runs one case of a check in a process of its own, so that a crash or a device that hangs is a verdict and not the end
// of the check.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <string>

#include "backplane/types.hpp"

namespace backplane::testkit {

struct Verdict {
    enum class Kind { kPassed, kFailed, kSkipped };
    Kind kind = Kind::kPassed;
    std::string reason;
    bool passed() const { return kind == Kind::kPassed; }
    bool failed() const { return kind == Kind::kFailed; }
};

// The case's side. What is told here survives the process.
class Case {
  public:
    // The case is over.
    [[noreturn]] void fail(const std::string& reason) { end(reason, kFailedCode); }
    [[noreturn]] void skip(const std::string& reason) { end(reason, kSkippedCode); }
    void require(bool holds, const std::string& reason) {
        if (!holds) fail(reason);
    }
    // What is being done now: part of the verdict if the process dies of it.
    __attribute__((format(printf, 2, 3))) void doing(const char* format, ...) {
        shared_->steps = shared_->steps + 1;
        va_list args;
        va_start(args, format);
        std::vsnprintf(shared_->action, sizeof shared_->action, format, args);
        va_end(args);
    }
    const char* action() const { return shared_->action; }

  private:
    friend Verdict run_case(const std::function<void(Case&)>& body, double patience);
    static constexpr int kFailedCode = 101, kSkippedCode = 102;
    struct Shared {
        volatile u64 steps;
        char action[512];
        char reason[4096];
    };
    explicit Case(Shared* shared) : shared_(shared) {}
    [[noreturn]] void end(const std::string& reason, int code) {
        std::snprintf(shared_->reason, sizeof shared_->reason, "%s", reason.c_str());
        std::fflush(nullptr);
        ::_exit(code);
    }
    Shared* shared_;
};

namespace detail {

// Processor time of another process in seconds, or -1.
inline double processor_seconds(pid_t pid) {
    clockid_t clock{};
    timespec t{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &t) != 0) return -1;
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

inline std::string signal_text(int number) {
    const char* name = ::sigabbrev_np(number);
    return name ? "SIG" + std::string(name) : "signal " + std::to_string(number);
}

}  // namespace detail

inline constexpr double kPatience = 30;

// `body` returns: passed. One action that takes more than `patience` seconds of processor time hangs, and so does one
// that only waits for ten minutes.
inline Verdict run_case(const std::function<void(Case&)>& body, double patience = kPatience) {
    constexpr u64 kMostPolls = 10 * 60 * 200;  // of 5 ms
    using Shared = Case::Shared;
    void* page = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return {Verdict::Kind::kFailed, "no memory for the check itself"};
    Shared* shared = static_cast<Shared*>(page);
    std::fflush(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
        const rlimit no_core{0, 0};
        ::setrlimit(RLIMIT_CORE, &no_core);
        Case self(shared);
        try {
            body(self);
        } catch (const std::exception& e) {
            self.fail(std::string("an exception: ") + e.what());
        }
        std::fflush(nullptr);
        ::_exit(0);
    }
    Verdict verdict;
    const auto failed = [&](const std::string& what) {
        verdict.kind = Verdict::Kind::kFailed;
        verdict.reason = what + (shared->action[0] ? std::string(" during: ") + shared->action : std::string());
    };
    int status = 0;
    bool hangs = false;
    if (pid < 0) {
        failed(std::string("no process for the check: ") + std::strerror(errno));
    } else {
        u64 steps = 0, polls = 0;
        double since = 0;
        while (::waitpid(pid, &status, WNOHANG) == 0) {
            const double used = detail::processor_seconds(pid);
            if (shared->steps != steps) steps = shared->steps, since = used, polls = 0;
            if (used - since > patience || ++polls > kMostPolls) {
                hangs = true;
                ::kill(pid, SIGKILL);
                ::waitpid(pid, &status, 0);
                break;
            }
            const timespec pause{0, 5'000'000};
            ::nanosleep(&pause, nullptr);
        }
        if (hangs) {
            failed("hangs");
        } else if (WIFSIGNALED(status)) {
            failed("crashed (" + detail::signal_text(WTERMSIG(status)) + ")");
        } else if (const int code = WEXITSTATUS(status); code == Case::kFailedCode || code == Case::kSkippedCode) {
            verdict.kind = code == Case::kFailedCode ? Verdict::Kind::kFailed : Verdict::Kind::kSkipped;
            verdict.reason = shared->reason;
        } else if (code != 0) {
            // A sanitizer has said more on standard error.
            failed("ended the process with exit code " + std::to_string(code));
        }
    }
    ::munmap(page, sizeof(Shared));
    return verdict;
}

}  // namespace backplane::testkit
