#include "streams.hpp"

#include <filesystem>

namespace backplane::qemu {

using drives::Keys;
using drives::OptionError;

namespace {

// "server,nowait" and "server=on,wait=off".
void read_socket_keys(Keys& keys, Stream& s) {
    s.server = keys.boolean("server").value_or(false);
    s.wait = keys.boolean("wait").value_or(true);
    if (keys.boolean("telnet").value_or(false) || keys.boolean("websocket").value_or(false))
        keys.fail("telnet and websocket are not served by this version; a plain socket (server,nowait) is");
    keys.ignore({"reconnect", "nodelay", "delay", "ipv4", "ipv6", "to"});
}

std::string host_and_port(Keys& keys, const std::string& host, const std::string& port) {
    if (port.empty()) keys.fail("the port is missing");
    return (host.empty() ? "127.0.0.1" : host == "::" ? "0.0.0.0" : host) + ":" + port;
}

}  // namespace

std::string whole_path(const std::string& path) {
    std::error_code error;
    const auto whole = std::filesystem::absolute(path, error);
    return error || path.empty() ? path : whole.lexically_normal().string();
}

Stream read_chardev(const std::string& backend, Keys keys) {
    Stream s;
    s.option = keys.option();
    keys.ignore({"logfile", "logappend", "signal"});
    s.with_monitor = keys.boolean("mux").value_or(false);
    if (backend == "null") {
        s.kind = Stream::Kind::kNone;
    } else if (backend == "vc") {
        s.kind = Stream::Kind::kConsole;
        keys.ignore({"width", "height", "cols", "rows"});
    } else if (backend == "stdio") {
        s.kind = Stream::Kind::kStdio;
    } else if (backend == "pty") {
        s.kind = Stream::Kind::kPty;
        keys.ignore({"path"});
    } else if (backend == "file") {
        s.kind = Stream::Kind::kFile;
        s.path = whole_path(keys.text("path").value_or(""));
        if (s.path.empty()) keys.fail("path= is missing");
        s.append = keys.boolean("append").value_or(false);
    } else if (backend == "socket") {
        read_socket_keys(keys, s);
        const auto path = keys.text("path");
        const auto host = keys.text("host"), port = keys.text("port");
        if (path && (host || port)) keys.fail("path= is for a UNIX socket, host= and port= are for TCP; give one");
        if (!path && !port) keys.fail("path= (a UNIX socket) or port= (TCP) is missing");
        s.kind = path ? Stream::Kind::kUnix : Stream::Kind::kTcp;
        s.path = path ? whole_path(*path) : host_and_port(keys, host.value_or(""), *port);
        keys.ignore({"abstract", "tight"});
    } else {
        keys.fail("this version has no \"" + backend + "\" for a -chardev; it has null, stdio, pty, file, socket");
    }
    keys.reject_rest({"id", "path", "host", "port", "server", "wait", "append", "mux"});
    return s;
}

Stream read_stream(std::string_view text, const std::string& option) {
    const auto begins = [&](std::string_view word) { return text.starts_with(word); };
    if (begins("mon:")) {
        Stream s = read_stream(text.substr(4), option);
        s.with_monitor = true;
        return s;
    }
    Stream s;
    s.option = option;
    if (begins("chardev:")) {
        s.kind = Stream::Kind::kNamed;
        s.path = text.substr(8);
        return s;
    }
    if (text == "none" || text == "null") return s;
    if (text == "vc" || begins("vc:")) {
        s.kind = Stream::Kind::kConsole;
        return s;
    }
    if (text == "stdio" || text == "pty") {
        s.kind = text == "pty" ? Stream::Kind::kPty : Stream::Kind::kStdio;
        return s;
    }
    if (begins("file:")) {
        s.kind = Stream::Kind::kFile;
        s.path = whole_path(std::string(text.substr(5)));
        if (s.path.empty()) throw OptionError(option + ": file: needs a path");
        return s;
    }
    if (begins("unix:") || begins("tcp:")) {
        const bool is_unix = begins("unix:");
        Keys keys(text.substr(is_unix ? 5 : 4), "address", option);
        const std::string address = keys.text("address").value_or("");
        read_socket_keys(keys, s);
        keys.reject_rest({"server", "wait"});
        s.kind = is_unix ? Stream::Kind::kUnix : Stream::Kind::kTcp;
        if (is_unix) {
            if (address.empty()) keys.fail("unix: needs a path");
            s.path = whole_path(address);
        } else {
            const auto colon = address.rfind(':');
            if (colon == std::string::npos) keys.fail("expected tcp:HOST:PORT");
            s.path = host_and_port(keys, address.substr(0, colon), address.substr(colon + 1));
        }
        return s;
    }
    throw OptionError(option + ": \"" + std::string(text) +
                      "\" is not served by this version; none, null, stdio, mon:stdio, pty, file:PATH, "
                      "unix:PATH,server,nowait, tcp:HOST:PORT,server,nowait and chardev:ID are");
}

}  // namespace backplane::qemu
