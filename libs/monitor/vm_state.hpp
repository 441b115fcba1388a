// savevm, loadvm, delvm: the state of machine and disks together under one name, kept inside the images of the drives.
#pragma once

#include <string>

#include "monitor/call.hpp"

namespace backplane::monitor {

// All throw std::runtime_error. The machine stands still meanwhile, and goes on if it ran.
void save_vm(const Call& call, const std::string& name);
void load_vm(const Call& call, const std::string& name);
void delete_vm(const Call& call, const std::string& name);
// The snapshots of the drive that holds the machine's state, as it lists them.
Json list_vms(const Call& call);

}  // namespace backplane::monitor
