// The listening socket: who owns it, what it replaces, who is let in.
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "chardev/test_host.hpp"
#include "control/listener.hpp"

using namespace backplane;

namespace {

control::Address at(const std::string& text) {
    control::Address a;
    std::string error;
    REQUIRE(control::parse_address(text, a, error));
    return a;
}

unsigned mode(const std::string& path) {
    struct stat info {};
    REQUIRE(::lstat(path.c_str(), &info) == 0);
    return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("a UNIX socket is its owner's alone whatever the umask, and goes with its listener") {
    const chardev::Folder folder;
    const std::string path = folder / "socket";
    for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}}) {
        const mode_t before = ::umask(mask);
        {
            Listener listener;
            CHECK(listener.open(at("unix:" + path)) == "");
            CHECK(mode(path) == 0600);
        }
        ::umask(before);
        CHECK_FALSE(std::filesystem::exists(path));
    }
}

TEST_CASE("a stale socket is replaced; a live one and any other file are not") {
    const chardev::Folder folder;
    const std::string path = folder / "socket";
    {
        const Fd stale(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const auto a = at("unix:" + path);
        REQUIRE(::bind(stale.get(), a.sockaddr_ptr(), a.size) == 0);
    }
    REQUIRE(std::filesystem::exists(path));
    Listener listener;
    CHECK(listener.open(at("unix:" + path)) == "");
    Listener second;
    CHECK(second.open(at("unix:" + path)) == path + ": another program listens there");
    CHECK(chardev::connect_to(path));
    std::ofstream(folder / "file") << "text";
    CHECK(second.open(at("unix:" + (folder / "file"))) == (folder / "file") + ": exists and is no socket");
    CHECK(chardev::contents(folder / "file") == "text");
    CHECK(second.open(at("unix:" + (folder / "none/socket"))).find("No such file") != std::string::npos);
}

TEST_CASE("what took the place of our socket is not removed") {
    const chardev::Folder folder;
    const std::string path = folder / "socket";
    Listener listener;
    REQUIRE(listener.open(at("unix:" + path)) == "");
    std::filesystem::remove(path);
    std::ofstream(path) << "text";
    listener.close();
    CHECK(chardev::contents(path) == "text");
}

TEST_CASE("TCP listens on loopback addresses only") {
    Listener listener;
    for (const char* text : {"tcp:0.0.0.0:0", "tcp:192.0.2.1:0", "tcp:[::]:0"})
        CHECK(listener.open(at(text)).find("only this machine's own addresses") != std::string::npos);
    CHECK(listener.open(at("tcp:127.0.0.1:0")) == "");
    CHECK(listener.address().text() != "tcp:127.0.0.1:0");
    Listener second;
    CHECK(second.open(listener.address()).find("cannot be listened on") != std::string::npos);
}

TEST_CASE("the peer's user decides, for both kinds of socket") {
    const chardev::Folder folder;
    for (const std::string& text : {"unix:" + (folder / "socket"), std::string("tcp:127.0.0.1:0")}) {
        Listener listener;
        REQUIRE(listener.open(at(text)) == "");
        const auto& a = listener.address();
        const Fd client(::socket(a.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(client.get(), a.sockaddr_ptr(), a.size) == 0);
        pollfd p{listener.fd(), POLLIN, 0};
        REQUIRE(::poll(&p, 1, 5000) == 1);
        const Fd server(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
        REQUIRE(server);
        CHECK(refuse_peer(server.get(), a.kind, ::geteuid()) == "");
        const std::string why = refuse_peer(server.get(), a.kind, ::geteuid() + 1);
        if (::geteuid() == 0)
            CHECK(why == "");  // root may
        else
            CHECK(why.find("may not use the control socket") != std::string::npos);
    }
}

TEST_CASE("the table of TCP sockets names a user only for a connected socket that somebody holds") {
    const std::string table =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11 1 0 100 0\n"
        "   1: 0100007F:9C40 0100007F:1538 01 00000000:00000000 00:00000000 00000000  1001        0 12 1 0 100 0\n"
        "   2: 0100007F:9C41 0100007F:1538 06 00000000:00000000 03:00001749 00000000     0        0 0 3 0\n"
        "   3: 0100007F:9C42 0100007F:1538 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0 100 0\n"
        "   4: nonsense\n";
    CHECK(tcp_user(table, "0100007F:9C40", "0100007F:1538") == 1001);
    CHECK(tcp_user(table, "0100007F:1538", "0100007F:9C40") == -1);  // our own end
    CHECK(tcp_user(table, "0100007F:9C41", "0100007F:1538") == -1);  // closed
    CHECK(tcp_user(table, "0100007F:9C42", "0100007F:1538") == -1);  // closed by its process
    CHECK(tcp_user("", "0100007F:9C40", "0100007F:1538") == -1);
}
