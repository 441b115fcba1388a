// Is a device right? The cases that every device type has to pass; each runs in a process of its own.
//
//   TEST_CASE("the lamp conforms") { CHECK(backplane::testkit::conformance_report<Blinker>() == ""); }
#pragma once

#include <cstdlib>
#include <filesystem>

#include "backplane/testkit/conformance_declaration.hpp"
#include "backplane/testkit/conformance_hostile.hpp"
#include "backplane/testkit/conformance_state.hpp"

namespace backplane::testkit {

struct ConformanceCase {
    const char* name;
    const char* about;
    void (*run)(const Subject&, Case&);
};

inline void check_place(const Subject& s, Case& check) { s.running(check)->settle(); }

// `place` comes before all that need a running device: if it fails, so do the others.
inline constexpr ConformanceCase kConformanceCases[] = {
    {"declaration", "docs, names, defaults, ranges; describe() always says the same", check_declaration},
    {"place", "stands on a board whose every link, bus and fact is a stand-in", check_place},
    {"state", "names, kinds, ranges and versions of the state fields", check_state_declaration},
    {"interfaces", "tables that it hands out are complete", check_interfaces},
    {"reset", "a second reset changes nothing", check_reset},
    {"save", "saved, restored and saved again is the same", check_save},
    {"divergence", "a restored copy does what the original does", check_divergence},
    {"old-state", "snapshots of older versions of the type", check_old_state},
    {"accesses", "random accesses of all widths, time, lines, neighbours, resets", check_accesses},
    {"dma", "DMA beyond memory and into its own registers", check_dma},
    {"hostile-state", "snapshots with random and extreme values", check_hostile_state},
};

// A folder that is gone with its owner.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "backplane-check-XXXXXX").string();
        if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder can be made: " + name);
        path_ = name;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// All cases for a class in this program: one line for each that fails, "" if none does.
template <class T>
std::string conformance_report(Properties properties = {}, u64 accesses = 20'000) {
    const TemporaryFolder folder;
    Subject subject;
    subject.type = &DeviceType<T>::value;
    subject.rig.properties = std::move(properties), subject.rig.folder = folder.path();
    subject.accesses = accesses;
    std::string out;
    for (const ConformanceCase& c : kConformanceCases) {
        const Verdict v = run_case([&](Case& check) { c.run(subject, check); });
        if (v.failed()) out += std::string(c.name) + ": " + v.reason + "\n";
        if (v.failed() && c.run == check_place) break;
    }
    return out;
}

}  // namespace backplane::testkit
