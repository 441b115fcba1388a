#include "model.hpp"

namespace backplane {

void UnixChardev::describe(Schema<UnixChardev>& s) {
    s.doc("A Unix domain socket; one client at a time");
    s.property("path", &UnixChardev::path_, {.doc = "the socket; made, and removed at the end", .required = true});
    s.property("wait", &UnixChardev::wait_,
               {.doc = "start the machine only when a client has connected", .def = "false"});
    s.property("connect", &UnixChardev::connect_,
               {.doc = "connect, once, to a socket that another program listens on", .def = "false"});
    offer(s);
}

bp_status UnixChardev::start() {
    if (connect_) return begin(chardev::connect_unix(path_.text));
    if (wait_) log_warn("waiting for a client at %s", path_.text.c_str());
    return begin(chardev::open_unix(path_.text), wait_);
}

}  // namespace backplane
