// What the subcommands of `backplane disk` share: images opened with words for the user, a bar that shows progress, a
// target that appears when it is complete.
#pragma once

#include <signal.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace CLI {
class App;
}

namespace backplane::runner {

// Each adds its subcommands below `backplane disk`.
void add_disk_create(CLI::App& disk, int& code);    // create, resize
void add_disk_convert(CLI::App& disk, int& code);   // convert
void add_disk_check(CLI::App& disk, int& code);     // check
void add_disk_snapshot(CLI::App& disk, int& code);  // snapshot
void add_disk_layers(CLI::App& disk, int& code);    // commit, rebase
void add_disk_compare(CLI::App& disk, int& code);   // map, compare
void add_disk_bench(CLI::App& disk, int& code);     // bench

// Runs a subcommand: what image code throws becomes an error of this program, with exit code 2 for what the user can
// put right and 1 for what the host failed at.
int guarded(const std::function<int()>& work);

// Warnings go to the standard error.
std::unique_ptr<image::Image> open_image(image::OpenOptions options);
// "128M" and the like; a multiple of 512.
u64 size_argument(const std::string& text);
// Throws if a request failed.
void expect(int error, const std::string& path, u64 offset, const char* what);

// Shows how far a work is, on the standard error if that is a terminal, and notices that the user would like it to end
// (Ctrl-C, SIGTERM), so that nothing half-done is left behind.
class Bar {
  public:
    explicit Bar(std::string title);
    ~Bar();
    Bar(const Bar&) = delete;
    Bar& operator=(const Bar&) = delete;
    // Throws if the work is to end.
    void show(u64 done, u64 total);
    image::Progress progress();

  private:
    bool interrupted() const;
    void clear();

    std::string title_;
    bool terminal_;
    int shown_ = -1;
    sigset_t before_;
};

// A file that gets its name when it is complete, and is gone if it never was.
class Target {
  public:
    // Refuses a file that exists unless `force`, and one that is in use in any case.
    Target(std::string path, bool force);
    ~Target();
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;
    const std::string& path() const { return temporary_; }
    void complete();

  private:
    std::string path_, temporary_;
    bool completed_ = false;
};

}  // namespace backplane::runner
