// QEMU's names of commands, for programs that were written for it: each is put together from the machine's own.
#pragma once

#include <map>
#include <string>

#include "monitor/call.hpp"

namespace backplane::monitor {

struct QmpCommand {
    const char* help;
    Json (*run)(const Call& call, const Json& arguments);
};
// By name. Those that the machine itself has (stop, cont, quit, send-key ...) are not among them, but for
// query-commands, query-events and query-version, which say more here.
const std::map<std::string, QmpCommand, std::less<>>& qmp_commands();

// The functions of PCI bus 0, as query-pci gives them; empty on a board without.
Json query_pci(const Call& call);
Json query_block(const Call& call);

}  // namespace backplane::monitor
