// backplane disk report: everything that helps to see from afar why a disk does not boot, in one text file.
#include <fcntl.h>
#include <signal.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "kernel/config/error.hpp"
#include "libs/doctor/diagnosis.hpp"
#include "runner/disk_doctor.hpp"
#include "runner/disk_file.hpp"
#include "runner/version.hpp"

namespace backplane::runner {

namespace {

using kernel::Error;

constexpr std::uintmax_t kMostOfFile = 256 * 1024;

struct Options {
    std::string image, format = "auto", output;
    unsigned seconds = 60;
    bool writable = false;
    std::vector<std::string> run;
};

// A folder for the parts, gone at the end.
struct Folder {
    std::string path;
    Folder() {
        char name[] = "/tmp/backplane-report-XXXXXX";
        if (!::mkdtemp(name)) throw Error(std::string("/tmp: ") + std::strerror(errno), kernel::kExitFailure);
        path = name;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
};

std::string contents(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    std::string s = text.str();
    if (s.size() > kMostOfFile) s = s.substr(0, kMostOfFile) + "\n(cut off here)\n";
    return s.empty() ? "(nothing)\n" : s;
}

void section(std::string& out, const std::string& title, const std::string& text) {
    out += "\n==== " + title + " ====\n" + text;
    if (out.back() != '\n') out += '\n';
}

std::string hex_dump(const geometry::Reader& reader, u64 lba) {
    std::array<u8, geometry::kSectorBytes> sector{};
    if (!reader(lba, sector)) return "(cannot be read)\n";
    std::string out;
    char text[24];
    for (std::size_t row = 0; row < sector.size(); row += 16) {
        std::snprintf(text, sizeof text, "%03zx ", row);
        out += text;
        for (std::size_t i = 0; i < 16; ++i) {
            std::snprintf(text, sizeof text, " %02x", sector[row + i]);
            out += text;
        }
        out += "  ";
        for (std::size_t i = 0; i < 16; ++i) {
            const u8 c = sector[row + i];
            out += c >= 0x20 && c < 0x7f ? static_cast<char>(c) : '.';
        }
        out += '\n';
    }
    return out;
}

std::string system_text() {
    struct utsname u {};
    ::uname(&u);
    const std::time_t now = std::time(nullptr);
    char when[64] = "";
    std::tm utc{};
    if (::gmtime_r(&now, &utc)) std::strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &utc);
    return version_text() + "\n" + u.sysname + " " + u.release + " " + u.machine + ", " + when + "\n";
}

// Screens at several times: a message that is overwritten later is seen.
std::string script(unsigned seconds) {
    std::string text;
    unsigned at = 0;
    for (const unsigned next : {seconds / 6, seconds / 2, seconds}) {
        if (next <= at && next != seconds) continue;
        text += "sleep " + std::to_string(next - at) + "\nscreen\n";
        at = next;
    }
    return text + "report\nquit\n";
}

// The machine as a program of its own: one that crashes still leaves a report.
std::string run_machine(const Options& o, const std::string& format, const Folder& folder) {
    const std::string script_file = folder.path + "/script", log = folder.path + "/log",
                      screen = folder.path + "/screen";
    std::ofstream(script_file) << script(o.seconds);
    std::string drive;
    for (const char c : o.image) drive += c == ',' ? std::string(",,") : std::string(1, c);
    drive = "file=" + drive + ",if=ide,index=0,format=" + format + (o.writable ? "" : ",snapshot=on");
    std::vector<std::string> command{"backplane", "run",       "--drive",    drive,
                                     "--serial",  "none",      "--debugcon", "file:" + folder.path + "/firmware",
                                     "--script",  script_file, "--log",      "*=info"};
    command.insert(command.end(), o.run.begin(), o.run.end());
    std::vector<char*> arguments;
    for (std::string& s : command) arguments.push_back(s.data());
    arguments.push_back(nullptr);
    const pid_t child = ::fork();
    if (child < 0) throw Error(std::string("fork: ") + std::strerror(errno), kernel::kExitFailure);
    if (child == 0) {
        const int in = ::open("/dev/null", O_RDONLY);
        const int out = ::open(screen.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        const int err = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ::dup2(in, 0), ::dup2(out, 1), ::dup2(err, 2);
        ::execv("/proc/self/exe", arguments.data());
        ::_exit(127);
    }
    // Three times as long as the script takes, for a host under load.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3 * o.seconds + 60);
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > end) ::kill(child, SIGKILL);
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    std::string line;
    for (const std::string& word : command) line += (line.empty() ? "" : " ") + word;
    const std::string ended = WIFEXITED(status) ? "exit code " + std::to_string(WEXITSTATUS(status))
                                                : "ended by signal " + std::to_string(WTERMSIG(status));
    return line + "\n" + ended + "\n";
}

int report(const Options& o) {
    std::string out =
        "Report of `backplane disk report`. It holds the disk's first sector and the boot sectors, the disk's "
        "name and size,\nand what was on the guest's screen. Read it before you send it to anybody.\n";
    section(out, "versions", system_text());
    std::string format;
    {
        DiskFile file(o.image, o.format, false);
        format = file.format();
        doctor::Subject subject;
        subject.image = o.image, subject.format = format, subject.reader = file.reader(),
        subject.sectors = file.sectors();
        subject.header = file.header();
        const doctor::Diagnosis d = doctor::diagnose(subject);
        section(out, "backplane disk doctor", doctor::report(subject, d));
        section(out, "first sector", hex_dump(subject.reader, 0));
        for (const doctor::Partition& p : d.layout.partitions)
            if (p.volume)
                section(out, "boot sector of partition " + std::to_string(p.number), hex_dump(subject.reader, p.start));
    }
    const Folder folder;
    std::fprintf(stderr, "The machine now runs for %u seconds%s.\n", o.seconds,
                 o.writable ? "" : "; what it writes to the disk is dropped");
    section(out, "run", run_machine(o, format, folder));
    section(out, "log (geometry, warnings)", contents(folder.path + "/log"));
    section(out, "firmware (boot trace)", contents(folder.path + "/firmware"));
    section(out, "screen, three times, and where the processor was", contents(folder.path + "/screen"));
    std::ofstream file(o.output, std::ios::binary);
    if (!(file << out).flush())
        throw Error(o.output + ": cannot be written: " + std::strerror(errno), kernel::kExitFailure);
    std::printf("%s: %zu bytes\n", o.output.c_str(), out.size());
    return 0;
}

}  // namespace

void add_disk_report(CLI::App& disk, int& code) {
    auto o = std::make_shared<Options>();
    CLI::App* sub = disk.add_subcommand(
        "report",
        "collects into one text file what helps to see why a disk does not boot: the doctor's findings, geometry "
        "log, the firmware's boot trace, the screen");
    sub->add_option("image", o->image, "disk image or block device")->required();
    sub->add_option("--output,-o", o->output, "the text file")->required();
    sub->add_option("--format", o->format, "format of the image; auto: by its header");
    sub->add_option("--seconds", o->seconds, "how long the machine runs")
        ->check(CLI::Range(1, 3600))
        ->capture_default_str();
    sub->add_flag("--writable", o->writable, "the machine may write to the disk; otherwise what it writes is dropped");
    sub->add_option("run", o->run, "after --: options of `backplane run`, such as --memory 512M");
    sub->callback([o, &code] { code = report(*o); });
}

}  // namespace backplane::runner
