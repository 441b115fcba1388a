// Clients that say anything at all: the session answers or does not, and never harms the process.
#include <catch2/catch.hpp>
#include <optional>
#include <random>

#include "gdb/fake_target.hpp"

namespace backplane::gdb {

TEST_CASE("random bytes and packets that are nearly right do no harm") {
    std::mt19937 random(1);
    const std::vector<std::string> known = {"g",
                                            "G0000",
                                            "p0",
                                            "p1f",
                                            "P0=00000000",
                                            "m0,4",
                                            "mffffffffffffffff,ffffffffffffffff",
                                            "x0,10",
                                            "M0,2:0000",
                                            "X0,1:}",
                                            "Z0,0,1",
                                            "z4,0,8",
                                            "vCont;c:1;s:2",
                                            "vCont;C05:1",
                                            "Hg1",
                                            "Hc-1",
                                            "T1",
                                            "qSupported:a+;b-",
                                            "qRcmd,6869",
                                            "qXfer:features:read:target.xml:0,fff",
                                            "Qqemu.PhyMemMode:1",
                                            "Qqemu.sstep=0x5",
                                            "qThreadExtraInfo,1",
                                            "c10",
                                            "S05;20",
                                            "QStartNoAckMode",
                                            "?",
                                            "vCont?",
                                            "qC",
                                            "vCtrlC",
                                            "!",
                                            "R00",
                                            "F0"};
    std::optional<Client> client;
    std::size_t answers = 0, clients = 0;
    for (unsigned round = 0; round < 20000; ++round) {
        if (!client || client->session.over()) {  // "k" and "D" are among what comes
            client.emplace(2, BP_CPU_HAS_X87 | BP_CPU_HAS_SSE | BP_CPU_HAS_LONG_MODE);
            ++clients;
        }
        Client& c = *client;
        std::string text = known[random() % known.size()];
        for (unsigned changes = random() % 4; changes != 0 && !text.empty(); --changes) {
            const std::size_t at = random() % text.size();
            switch (random() % 4) {
                case 0: text.erase(at, 1 + random() % 3); break;
                case 1: text.insert(at, 1, static_cast<char>(random())); break;
                case 2: text[at] = static_cast<char>(random()); break;
                default: text += text.substr(at); break;
            }
        }
        c.heard.clear();
        switch (random() % 8) {
            case 0: c.session.take(text); break;                                // no packet
            case 1: c.session.take("$" + text + "#00"); break;                  // mostly damaged
            case 2: c.session.take(std::string(random() % 64, '\x03')); break;  // impatient
            default: c.session.take(framed(text)); break;
        }
        if (c.session.running() && random() % 2 == 0)
            c.session.stopped({stop_at(random() % 2, random() % 4, random(), random() % 4)});
        if (!c.heard.empty()) ++answers;
        REQUIRE(c.heard.size() < 3 * kPacketSize);
        if (c.target.calls.size() > 1000) c.target.calls.clear();
    }
    CHECK(answers > 5000);
    CHECK(clients < 2000);
    Client& c = client.emplace();
    c.session.take("$Z0,1");
    c.session.take(framed("z"));  // whatever was left open
    CHECK(c.say("vCont?") == "vCont;c;C;s;S");
}

}  // namespace backplane::gdb
