// backplane disk doctor and backplane disk report.
#pragma once

namespace CLI {
class App;
}

namespace backplane::runner {

// Add themselves below `backplane disk`.
void add_disk_doctor(CLI::App& disk, int& code);
void add_disk_report(CLI::App& disk, int& code);

}  // namespace backplane::runner
