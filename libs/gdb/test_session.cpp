#include <catch2/catch.hpp>

#include "gdb/fake_target.hpp"

namespace backplane::gdb {

TEST_CASE("the handshake names what there is, and the description comes in parts") {
    Client c;
    const std::string can = c.say("qSupported:multiprocess+;swbreak+;hwbreak+");
    for (const char* feature : {"PacketSize=4000", "qXfer:features:read+", "QStartNoAckMode+", "vContSupported+"})
        CHECK(can.find(feature) != std::string::npos);
    CHECK(c.heard.starts_with("+$"));
    const std::string start = c.say("qXfer:features:read:target.xml:0,20");
    CHECK(start == "m<?xml version=\"1.0\"?>\n<!DOCTYPE ");
    std::string whole;
    for (;;) {
        const std::string piece = c.say("qXfer:features:read:target.xml:" + hex_number(whole.size()) + ",100");
        whole += piece.substr(1);
        if (piece[0] == 'l') break;
        REQUIRE(piece[0] == 'm');
    }
    CHECK(whole.ends_with("</target>\n"));
    CHECK(c.say("qXfer:features:read:target.xml:fffff,10") == "E16");
    CHECK(c.say("qXfer:features:read:other.xml:0,10").empty());
    CHECK(c.say("QStartNoAckMode") == "OK");
    c.say("qC");
    CHECK(c.heard == "$QC1#c5");
    CHECK(c.say("vMustReplyEmpty").empty());
    CHECK(c.heard == "$#00");
}

TEST_CASE("registers are read and written, one or all") {
    Client c;
    c.target.states[0].gpr[BP_X86_RBX] = 0x12345678;
    c.target.states[0].rip = 0xfff0;
    CHECK(c.say("p3") == "78563412");
    CHECK(c.say("p8") == "f0ff0000");
    CHECK(c.say("P0=04030201") == "OK");
    CHECK(c.target.states[0].gpr[0] == 0x01020304);
    const std::string all = c.say("g");
    CHECK(all.starts_with("04030201"));
    CHECK(c.say("G" + all) == "OK");
    CHECK(c.say("g") == all);
    CHECK(c.say("G00") == "E16");
    CHECK(c.say("p99") == "E16");
    CHECK(c.say("P0=0403020") == "E16");
    CHECK(c.say("P0=0403") == "E16");
    c.target.states[0].cr0 = 0xbad;
    CHECK(c.say("P0=04030201") == "E16");
}

TEST_CASE("memory is read and written up to where there is some, linear or physical") {
    Client c;
    CHECK(c.say("M10,3:414243") == "OK");
    CHECK(c.say("m10,4") == "41424300");
    CHECK(c.say("X20,4:a#}b") == "OK");
    CHECK(c.target.memory.substr(0x20, 4) == "a#}b");
    CHECK(c.say("x20,4") == "ba#}b");
    CHECK(c.say("mfffe,8") == "0000");
    CHECK(c.say("m10000,1") == "E0e");
    CHECK(c.say("Mfffe,3:000000") == "E0e");
    CHECK(c.say("M10,3:4142") == "E16");
    CHECK(c.say("m10") == "E16");
    CHECK(c.say("m0,ffffffff").size() <= kPacketSize);
    CHECK(c.target.calls.empty());
    CHECK(c.say("qqemu.PhyMemMode") == "0");
    CHECK(c.say("Qqemu.PhyMemMode:1") == "OK");
    CHECK(c.say("qqemu.PhyMemMode") == "1");
    CHECK(c.say("Qqemu.PhyMemMode:2") == "E16");
    c.say("m10,1");
    CHECK(c.last_call() == "physical");
}

TEST_CASE("break- and watchpoints are handed on with their kind") {
    Client c;
    CHECK(c.say("Z0,7c00,1") == "OK");
    CHECK(c.last_call() == "+7c00");
    CHECK(c.say("z1,7c00,1;X1,0") == "OK");
    CHECK(c.last_call() == "-7c00");
    c.say("Z2,1000,4");
    CHECK(c.last_call() == "+1000/4/2");
    c.say("Z3,1000,8");
    CHECK(c.last_call() == "+1000/8/1");
    c.say("z4,1000,1");
    CHECK(c.last_call() == "-1000/1/3");
    CHECK(c.say("Z2,1000,9") == "E16");
    CHECK(c.say("Z2,1000,0") == "E16");
    CHECK(c.say("Z5,1000,1").empty());
    CHECK(c.say("Z") == "E16");
    CHECK(c.say("Z0,") == "E16");
    c.target.full = true;
    CHECK(c.say("Z0,7c00,1") == "E1c");
}

TEST_CASE("continue and step are answered by the next stop") {
    Client c;
    CHECK(c.say("c").empty());
    CHECK(c.heard == "+");
    CHECK(c.last_call() == "go held on");
    CHECK(c.stop({stop_at(0, BP_STOP_BREAKPOINT, 0x7c00)}) == "T05thread:1;");
    CHECK(c.say("?") == "T05thread:1;");
    c.say("s");
    CHECK(c.last_call() == "go held step");
    CHECK(c.stop({stop_at(0, BP_STOP_STEP)}) == "T05thread:1;");
    c.say("C05;1234");
    CHECK(c.target.states[0].rip == 0x1234);
    CHECK(c.stop({stop_at(0, BP_STOP_WATCHPOINT, 0x1000, BP_WATCH_WRITE)}) == "T05thread:1;watch:1000;");
    c.say("vCont;s:1;c");
    CHECK(c.last_call() == "go held step");
    CHECK(c.stop({stop_at(0, BP_STOP_WATCHPOINT, 0x1000, BP_WATCH_READ)}) == "T05thread:1;rwatch:1000;");
    c.say("vCont;c");
    CHECK(c.stop({stop_at(0, BP_STOP_WATCHPOINT, 0x1000, 3)}) == "T05thread:1;awatch:1000;");
    CHECK(c.stop({}).empty());  // it stood already
}

TEST_CASE("a client that knows them hears of its kinds of breakpoints") {
    Client c;
    c.say("qSupported:swbreak+;hwbreak+");
    c.say("Z0,100,1");
    c.say("Z1,200,1");
    c.say("c");
    CHECK(c.stop({stop_at(0, BP_STOP_BREAKPOINT, 0x100)}) == "T05thread:1;swbreak:;");
    c.say("c");
    CHECK(c.stop({stop_at(0, BP_STOP_BREAKPOINT, 0x200)}) == "T05thread:1;hwbreak:;");
}

TEST_CASE("an interrupt pauses a machine that runs, and a pause by others is told as one") {
    Client c;
    c.session.take("\x03");
    CHECK(c.target.calls.empty());
    c.say("c");
    c.session.take("\x03");
    CHECK(c.last_call() == "pause");
    CHECK(c.stop({}) == "T02thread:1;");
}

TEST_CASE("processors are threads") {
    Client c(3);
    CHECK(c.say("qfThreadInfo") == "m1,2,3");
    CHECK(c.say("qsThreadInfo") == "l");
    CHECK(c.say("T3") == "OK");
    CHECK(c.say("T4") == "E16");
    c.target.states[2].gpr[0] = 7;
    c.target.states[2].events = BP_X86_HALTED;
    CHECK(c.say("Hg3") == "OK");
    CHECK(c.say("p0") == "07000000");
    CHECK(c.say("qC") == "QC3");
    CHECK(c.say("qThreadExtraInfo,3") == hex("cpu2 [halted]"));
    CHECK(c.say("Hg9") == "E16");
    CHECK(c.say("Hg0") == "OK");
    c.say("c");
    CHECK(c.last_call() == "go held on on on");
    CHECK(c.stop({stop_at(1, BP_STOP_BREAKPOINT, 1), stop_at(0, BP_STOP_BREAKPOINT, 1)}) == "T05thread:2;");
    CHECK(c.say("qC") == "QC2");
    c.say("s");
    CHECK(c.last_call() == "go held stay step stay");
    c.stop({stop_at(1, BP_STOP_STEP)});
    c.say("vCont;s:2;c:3");
    CHECK(c.last_call() == "go held stay step on");
    c.stop({stop_at(1, BP_STOP_STEP)});
    c.say("vCont;s:2;c");
    CHECK(c.last_call() == "go held on step on");
    c.stop({stop_at(1, BP_STOP_STEP)});
    CHECK(c.say("vCont;s:9") == "E16");
    CHECK(c.say("vCont;") == "E16");
    CHECK(c.say("vCont;x") == "E16");
    CHECK(c.say("vCont?") == "vCont;c;C;s;S");
}

TEST_CASE("whether interrupts wait during a step is the client's choice") {
    Client c;
    CHECK(c.say("qqemu.sstepbits") == "ENABLE=1,NOIRQ=2,NOTIMER=4");
    CHECK(c.say("qqemu.sstep") == "0x3");
    CHECK(c.say("Qqemu.sstep=1") == "OK");
    c.say("s");
    CHECK(c.last_call() == "go step");
    c.stop({});
    CHECK(c.say("Qqemu.sstep=9") == "E16");
}

TEST_CASE("the monitor answers in parts that fit a packet") {
    Client c;
    CHECK(c.say("qRcmd," + hex("info")) == "O" + hex("said info\n") + "|OK");
    const std::string said = c.say("qRcmd," + hex("long"));
    CHECK(std::count(said.begin(), said.end(), 'O') == 4);
    CHECK(c.say("qRcmd,1") == "E16");
}

TEST_CASE("detach and kill end the session") {
    Client c;
    SECTION("detach") {
        CHECK(c.say("D") == "OK");
        CHECK(c.last_call() == "leave on");
    }
    SECTION("kill") {
        CHECK(c.say("k").empty());
        CHECK(c.last_call() == "kill");
    }
    SECTION("vKill") {
        CHECK(c.say("vKill;1") == "OK");
        CHECK(c.last_call() == "kill");
    }
    CHECK(c.session.over());
    CHECK(c.say("g").empty());
}

TEST_CASE("the end of the machine is told to who waits for it") {
    Client c;
    c.say("c");
    c.heard.clear();
    c.session.ended(3);
    CHECK(c.packets() == "W03");
    CHECK(c.session.over());
}

TEST_CASE("a damaged packet is asked for again, and the client may ask for the last answer") {
    Client c;
    c.session.take("$g#00");
    CHECK(c.heard == "-");
    c.say("qC");
    const std::string said = c.heard;
    c.heard.clear();
    c.session.take("-");
    CHECK("+" + c.heard == said);
}

}  // namespace backplane::gdb
