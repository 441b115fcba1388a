#include "runner/disk_tools.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"

namespace backplane::runner {

int guarded(const std::function<int()>& work) {
    try {
        return work();
    } catch (const image::Error& e) {
        throw kernel::Error(e.what(), e.fault() == image::Fault::kIo ? kernel::kExitFailure : kernel::kExitConfig);
    }
}

std::unique_ptr<image::Image> open_image(image::OpenOptions options) {
    options.log = [](image::Level level, const std::string& text) {
        if (level >= image::Level::kWarn) std::fprintf(stderr, "backplane: %s\n", text.c_str());
    };
    return image::open(options);
}

u64 size_argument(const std::string& text) {
    const auto size = kernel::parse_size(text);
    if (!size) throw kernel::Error("\"" + text + "\" is no size; for example 10G, 512M or 1474560");
    if (*size % 512) throw kernel::Error("the size " + text + " is not a multiple of 512 bytes");
    return *size;
}

void expect(int error, const std::string& path, u64 offset, const char* what) {
    if (error)
        throw image::Error(image::Fault::kIo, path, offset,
                           std::string("cannot be ") + what + ": " + std::strerror(error), error);
}

// --- Progress
// ---------------------------------------------------------------------------------------------------------

Bar::Bar(std::string title) : title_(std::move(title)), terminal_(::isatty(STDERR_FILENO) == 1) {
    sigset_t ends;
    sigemptyset(&ends);
    for (const int s : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ends, s);
    pthread_sigmask(SIG_BLOCK, &ends, &before_);  // they wait until show() looks
}

Bar::~Bar() {
    clear();
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool Bar::interrupted() const {
    sigset_t waiting;
    if (sigpending(&waiting) != 0) return false;
    for (const int s : {SIGINT, SIGTERM, SIGHUP})
        if (sigismember(&waiting, s) == 1) return true;
    return false;
}

void Bar::show(u64 done, u64 total) {
    if (interrupted()) throw kernel::Error(title_ + ": ended early", kernel::kExitFailure);
    if (!terminal_ || total == 0) return;
    constexpr int kWidth = 40;
    const int thousandths = static_cast<int>(static_cast<double>(done) * 1000 / static_cast<double>(total));
    if (thousandths == shown_) return;
    shown_ = thousandths;
    const int full = thousandths * kWidth / 1000;
    std::fprintf(stderr, "\r%s [%s%s] %3d.%d%%", title_.c_str(),
                 std::string(static_cast<std::size_t>(full), '#').c_str(),
                 std::string(static_cast<std::size_t>(kWidth - full), ' ').c_str(), thousandths / 10, thousandths % 10);
    std::fflush(stderr);
}

void Bar::clear() {
    if (shown_ >= 0) std::fputs("\r\033[K", stderr);
    shown_ = -1;
}

image::Progress Bar::progress() {
    return [this](u64 done, u64 total) {
        show(done, total);
        return true;
    };
}

// --- Target
// -----------------------------------------------------------------------------------------------------------

Target::Target(std::string path, bool force) : path_(std::move(path)) {
    struct stat st {};
    if (::stat(path_.c_str(), &st) == 0) {
        if (!S_ISREG(st.st_mode))
            throw kernel::Error(path_ + ": is there already, and is no file that could be replaced");
        if (!force) throw kernel::Error(path_ + ": is there already; --force replaces it");
        image::StorageOptions in_use;  // throws if somebody has it
        static_cast<void>(image::open_file(path_, in_use));
    }
    const std::filesystem::path whole(path_);
    std::string name = (whole.parent_path() / ("." + whole.filename().string() + ".incomplete.XXXXXX")).string();
    const int fd = ::mkstemp(name.data());
    if (fd < 0) throw kernel::Error(path_ + ": cannot be made: " + std::strerror(errno), kernel::kExitFailure);
    const mode_t mask = ::umask(0);
    ::umask(mask);
    static_cast<void>(::fchmod(fd, 0666 & ~mask));
    ::close(fd);
    temporary_ = name;
}

Target::~Target() {
    if (!completed_) ::unlink(temporary_.c_str());
}

void Target::complete() {
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
        throw kernel::Error(path_ + ": cannot be given its name: " + std::strerror(errno), kernel::kExitFailure);
    completed_ = true;
}

}  // namespace backplane::runner
