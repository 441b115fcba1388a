#include "model.hpp"

namespace backplane {

void UnixChardev::describe(Schema<UnixChardev>& s) {
    s.doc("A Unix domain socket; one client at a time");
    s.property("path", &UnixChardev::path_, {.doc = "the socket; made, and removed at the end", .required = true});
    s.property("wait", &UnixChardev::wait_,
               {.doc = "start the machine only when a client has connected", .def = "false"});
    offer(s);
}

bp_status UnixChardev::start() {
    if (wait_) log_warn("waiting for a client at %s", path_.text.c_str());
    return begin(chardev::open_unix(path_.text), wait_);
}

}  // namespace backplane
