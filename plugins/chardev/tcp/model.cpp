#include "model.hpp"

#include "control/address.hpp"

namespace backplane {

void TcpChardev::describe(Schema<TcpChardev>& s) {
    s.doc("A TCP socket; one client at a time");
    s.property("address", &TcpChardev::address_,
               {.doc = "127.0.0.1:PORT, [::1]:PORT or another address of this host; port 0: one that is free",
                .required = true});
    s.property("wait", &TcpChardev::wait_,
               {.doc = "start the machine only when a client has connected", .def = "false"});
    s.property("connect", &TcpChardev::connect_,
               {.doc = "connect, once, to an address at which another program listens", .def = "false"});
    offer(s);
}

bp_status TcpChardev::start() {
    control::Address address;
    std::string error;
    if (!control::parse_address("tcp:" + address_, address, error)) return fail(BP_ERR_INVALID, "%s", error.c_str());
    if (connect_) return begin(chardev::connect_socket(address.sockaddr_ptr(), address.size, address_));
    chardev::Opened end = chardev::open_tcp(address.sockaddr_ptr(), address.size, address_);
    if (end.listener) {
        address.size = sizeof address.storage;
        ::getsockname(end.listener.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.size);
        if (wait_)
            log_warn("waiting for a client at %s", address.text().c_str());
        else if (address.text() != "tcp:" + address_)
            log_warn("the line is at %s", address.text().c_str());
    }
    return begin(std::move(end), wait_);
}

}  // namespace backplane
