#include "model.hpp"

namespace backplane {

void FileChardev::describe(Schema<FileChardev>& s) {
    s.doc("A file that a device's output is written to");
    s.property("path", &FileChardev::path_, {.doc = "the file; made if it does not exist", .required = true});
    s.property("append", &FileChardev::append_, {.doc = "keep what the file has", .def = "false"});
    offer(s);
}

bp_status FileChardev::start() { return begin(chardev::open_file(path_.text, append_)); }

}  // namespace backplane
