#include "model.hpp"

namespace backplane {

void PtyChardev::describe(Schema<PtyChardev>& s) {
    s.doc("A pseudo-terminal of the host; its name is logged");
    s.property("link", &PtyChardev::link_, {.doc = "symbolic link to the slave to make"});
    offer(s);
}

bp_status PtyChardev::start() { return begin(chardev::open_pty(link_.text)); }

}  // namespace backplane
