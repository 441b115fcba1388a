#include <filesystem>

#include "test_kit.hpp"

using namespace backplane::qemu;

namespace {
std::string here(const std::string& name) { return (std::filesystem::current_path() / name).string(); }
}  // namespace

TEST_CASE("a disk by each of its options is the same disk") {
    const std::string line = "    file: \"" + here("a.img") + "\"";
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"-hda", "a.img"},
             {"a.img"},
             {"-drive", "file=a.img"},
             {"-drive", "file.filename=a.img,file.driver=file"},
             {"-drive", "file=a.img,if=none,id=x", "-device", "ide-hd,drive=x,bus=ide.0,unit=0"},
             {"-device", "ide-drive,drive=x", "-drive", "file=a.img,if=none,id=x"},
             {"-blockdev", "driver=file,filename=a.img,node-name=x", "-device", "ide-hd,drive=x"},
             {"-blockdev", "driver=file,filename=a.img,node-name=f", "-blockdev", "raw,file=f,node-name=x", "-device",
              "ide-hd,drive=x"},
             {"-blockdev", "driver=qcow2,file.driver=file,file.filename=a.img,node-name=x", "-device",
              "ide-hd,drive=x"},
             {"-blockdev", R"({"driver":"raw","node-name":"x","file":{"driver":"file","filename":"a.img"}})", "-device",
              R"({"driver":"ide-hd","drive":"x"})"}}) {
        const Result r = translated(words);
        INFO(r.machine);
        CHECK(r.machine.find("  hda:\n") != std::string::npos);
        CHECK(says(r, line));
    }
}

TEST_CASE("commas, folders and protocols in file names") {
    CHECK(says(translated({"-drive", "file=a,,b.img"}), "    file: \"" + here("a,b.img") + "\""));
    CHECK(says(translated({"-hda", "file:/x/y"}), "    file: \"/x/y\""));
    CHECK(refusal({"-hda", "nbd:localhost:1"}).find("-hda nbd:localhost:1: nbd") == 0);
    CHECK(refusal({"-cdrom", "http://a/b.iso"}).find("-cdrom http") == 0);
}

TEST_CASE("a node says how its image is opened") {
    const Result r = translated({"-blockdev",
                                 "driver=qcow2,node-name=x,read-only=on,discard=unmap,cache.direct=on,file.driver=file,"
                                 "file.filename=a",
                                 "-device", "ide-hd,drive=x,cyls=10,heads=4,secs=17"});
    for (const char* line : {"    format: qcow2", "    read_only: true", "    cache: none", "      cylinders: 10"})
        CHECK(says(r, line));
    const Result nothing = translated({"-blockdev", "null-co,node-name=n,size=1M", "-device", "ide-hd,drive=n"});
    CHECK(says(nothing, "format: null-co"));
    CHECK(nothing.machine.find("size=1048576\"") != std::string::npos);
    CHECK(refusal({"-blockdev", "null-co,node-name=n,size=x"}).find("size=x") != std::string::npos);
    CHECK(refusal({"-blockdev", "driver=nbd,node-name=x"}).find("nbd") != std::string::npos);
    CHECK(refusal({"-blockdev", "driver=raw,file=nobody,node-name=x"}).find("nobody") != std::string::npos);
    CHECK(refusal({"-blockdev", "{"}).find("-blockdev {: this is no JSON object") == 0);
    CHECK_FALSE(refusal({"-blockdev", std::string(100000, '[')}).empty());
    CHECK_FALSE(refusal({"-blockdev", "{\"a\":" + std::string(100000, '[')}).empty());
}

TEST_CASE("the default CD-ROM drive goes as it did") {
    CHECK(says(translated({"-hda", "a"}), "    media: cdrom"));
    CHECK_FALSE(says(translated({"-hda", "a", "-nodefaults"}), "    media: cdrom"));
    CHECK_FALSE(says(translated({"-hdc", "a"}), "    media: cdrom"));
    CHECK_FALSE(says(translated({"-drive", "file=a,if=none,id=x", "-device", "ide-hd,drive=x"}), "    media: cdrom"));
}

TEST_CASE("-snapshot is for every disk") {
    const Result r = translated({"-snapshot", "-hda", "a", "-hdb", "b"});
    CHECK(r.machine.find("snapshot: true") != r.machine.rfind("snapshot: true"));
}

TEST_CASE("serial ports and where they lead") {
    CHECK(says(translated({"-serial", "stdio"}), "  com1-host: {type: chardev.terminal}"));
    CHECK(says(translated({"-serial", "file:/t/x"}), "  com1-host: {type: chardev.host, target: \"file:/t/x\"}"));
    CHECK(says(translated({"-serial", "unix:/t/x,server,nowait"}),
               "  com1-host: {type: chardev.host, target: \"unix:/t/x\"}"));
    CHECK(says(translated({"-serial", "unix:/t/x,server=on"}),
               "  com1-host: {type: chardev.unix, path: \"/t/x\", wait: true}"));
    CHECK(says(translated({"-serial", "none"}), "  com1: ~"));
    CHECK(says(translated({"-serial", "null", "-serial", "pty"}),
               "  com2: {type: serial.uart16550, at: 0x2f8, irq: irq3, backend: com2-host}"));
    CHECK(
        says(translated({"-device", "isa-serial,chardev=c", "-chardev", "pty,id=c"}), "  com1: {backend: chardev-c}"));
    CHECK(says(translated({"-chardev", "file,id=c,path=/t/x,append=on", "-serial", "chardev:c"}),
               "  chardev-c: {type: chardev.file, path: \"/t/x\", append: true}"));
    CHECK(
        says(translated({"-serial", "unix:/t/x"}), "  com1-host: {type: chardev.unix, path: \"/t/x\", connect: true}"));
    CHECK(says(translated({"-serial", "tcp::4444,server,nowait"}),
               "  com1-host: {type: chardev.tcp, address: \"127.0.0.1:4444\"}"));
    CHECK(says(translated({"-serial", "tcp:[::1]:4444,server"}),
               "  com1-host: {type: chardev.tcp, address: \"[::1]:4444\", wait: true}"));
    CHECK(says(translated({"-chardev", "socket,id=c,host=localhost,port=23", "-serial", "chardev:c"}),
               "  chardev-c: {type: chardev.tcp, address: \"localhost:23\", connect: true}"));
    CHECK(refusal({"-serial", "telnet:x"}).find("-serial telnet:x") == 0);
    CHECK(refusal({"-device", "isa-serial,chardev=no"}).find("id=no") != std::string::npos);
    CHECK(refusal({"-serial", "null", "-serial", "null", "-serial", "null", "-serial", "null", "-serial", "null"})
              .find("four") != std::string::npos);
}

TEST_CASE("-nographic puts serial port and monitor on the terminal") {
    CHECK(says(translated({"-nographic"}), "  com1: {backend: com1-host}"));
    CHECK(says(translated({"-nographic", "-serial", "null"}), "  monitor0: {type: control.monitor, address: stdio}"));
    CHECK(translated({"-nographic", "-monitor", "none"}).machine.find("control.monitor") == std::string::npos);
    CHECK(translated({"-serial", "mon:stdio", "-monitor", "stdio"}).machine.find("control.monitor") ==
          std::string::npos);
}

TEST_CASE("monitors, QMP and qtest are served where they were asked for") {
    CHECK(says(translated({"-monitor", "unix:/t/m,server,nowait"}),
               "  monitor0: {type: control.monitor, address: \"unix:/t/m\"}"));
    CHECK(says(translated({"-qmp", "tcp:127.0.0.1:4444,server,nowait"}),
               "  qmp0: {type: control.qmp, address: \"tcp:127.0.0.1:4444\"}"));
    CHECK(says(translated({"-chardev", "socket,id=m,path=/t/m,server=on,wait=off", "-mon", "chardev=m,mode=control"}),
               "  qmp0: {type: control.qmp, address: \"unix:/t/m\"}"));
    CHECK(says(translated({"-mon", "m", "-chardev", "socket,id=m,path=/t/m,server,nowait"}),
               "  monitor0: {type: control.monitor, address: \"unix:/t/m\"}"));
    CHECK(warned(translated({"-qmp", "unix:/t/m,server"}), "does not wait"));
    CHECK(
        says(translated({"-qmp", "unix:/t/m"}), "  qmp0: {type: control.qmp, address: \"unix:/t/m\", connect: true}"));
    const Result r = translated({"-qtest", "unix:/t/q", "-accel", "qtest"});
    CHECK(says(r, "  qtest: {type: control.qtest, address: \"unix:/t/q\", connect: true}"));
    CHECK(says(r, "  engine: none"));
}

TEST_CASE("QMP on a character device") {
    CHECK(says(translated({"-qmp", "stdio"}), "  qmp0: {type: control.qmp, address: stdio}"));
    CHECK(says(translated({"-qmp-pretty", "pty"}), "  qmp0: {type: control.qmp, address: pty, pretty: true}"));
    CHECK(says(translated({"-chardev", "stdio,id=m", "-mon", "chardev=m,mode=control,pretty=on"}),
               "  qmp0: {type: control.qmp, address: stdio, pretty: true}"));
    const Result file = translated({"-chardev", "file,id=m,path=/t/log", "-mon", "chardev=m,mode=control"});
    CHECK(says(file, "  chardev-m: {type: chardev.host, target: \"file:/t/log\"}"));
    CHECK(says(file, "  qmp0: {type: control.qmp, chardev: chardev-m}"));
    // What leads nowhere is served by nobody.
    CHECK(translated({"-chardev", "null,id=m", "-mon", "chardev=m,mode=control"}).machine.find("qmp") ==
          std::string::npos);
}

TEST_CASE("standard input and output go to one") {
    const std::string taken = "standard input and output are those of ";
    CHECK(refusal({"-serial", "stdio", "-qmp", "stdio"}) == "-qmp stdio: " + taken + "-serial stdio already");
    CHECK(refusal({"-monitor", "stdio", "-qmp", "stdio"}) == "-qmp stdio: " + taken + "-monitor stdio already");
    CHECK(refusal({"-nographic", "-qmp", "stdio"}) == "-qmp stdio: " + taken + "-nographic already");
    CHECK(refusal({"-serial", "stdio", "-serial", "stdio"}) == "-serial stdio: " + taken + "-serial stdio already");
}

TEST_CASE("a character device is for one device") {
    const std::vector<std::string> pty{"-chardev", "pty,id=c"}, terminal{"-chardev", "stdio,id=c"},
        mux{"-chardev", "stdio,id=c,mux=on"}, serial{"-device", "isa-serial,chardev=c"};
    const auto all = [](std::initializer_list<std::vector<std::string>> parts) {
        std::vector<std::string> words;
        for (const auto& p : parts) words.insert(words.end(), p.begin(), p.end());
        return words;
    };
    const std::string taken = ": the -chardev with id=c is that of ";
    CHECK(refusal(all({pty, serial, serial})) ==
          "-device isa-serial,chardev=c" + taken + "-device isa-serial,chardev=c already");
    CHECK(refusal(all({pty, {"-serial", "chardev:c", "-parallel", "chardev:c"}})) ==
          "-parallel chardev:c" + taken + "-serial chardev:c already");
    CHECK(refusal(all({pty, serial, {"-mon", "chardev=c,mode=control"}})) ==
          "-mon chardev=c,mode=control" + taken + "-device isa-serial,chardev=c already");
    CHECK(refusal(all({pty, {"-mon", "c", "-mon", "chardev=c"}})) == "-mon chardev=c" + taken + "-mon c already");
    CHECK(refusal(all({terminal, serial, {"-mon", "c"}})) == "-mon c" + taken + "-device isa-serial,chardev=c already");
    CHECK(refusal(all({mux, serial, {"-mon", "c"}})).empty());
    CHECK_FALSE(refusal(all({mux, serial, serial})).empty());
    CHECK(says(translated(all({pty, {"-debugcon", "chardev:c"}})),
               "  debugcon-233: {type: debug.console, at: 233, backend: chardev-c}"));
    CHECK_FALSE(refusal(all({pty, serial, {"-debugcon", "chardev:c"}})).empty());
}

TEST_CASE("debug ports") {
    CHECK(says(translated({"-debugcon", "file:/t/x"}),
               "  debugcon-233: {type: debug.console, at: 233, backend: chardev--debugcon-1}"));
    CHECK(says(translated({"-debugcon", "file:/t/x", "-global", "isa-debugcon.iobase=0x402"}),
               "  debugcon: {backend: chardev--debugcon-1}"));
    CHECK(says(translated({"-device", "isa-debug-exit,iobase=0xf4,iosize=4"}),
               "  exit-244: {type: debug.exit, at: 244, size: 4}"));
}

TEST_CASE("other devices are refused by name") {
    CHECK(refusal({"-device", "virtio-balloon-pci"}).find("-device virtio-balloon-pci") == 0);
    CHECK(refusal({"-device", "ide-hd"}).find("-device ide-hd") == 0);
    CHECK(warned(translated({"-global", "PIIX4_PM.disable_s3=1"}), "has no effect"));
}

TEST_CASE("the devices that test suites for processors expect") {
    CHECK(translated({"-device", "pc-testdev"})
              .machine.find("  pc-testdev: {type: debug.pc-testdev, at: {scratch: 0xe0") != std::string::npos);
    CHECK(says(translated({"-device", "pci-testdev"}), "  pci-testdev: {type: debug.pci-testdev, on: \"pci/3\"}"));
    CHECK(refusal({"-M", "isapc", "-device", "pci-testdev"}).find("no PCI bus") != std::string::npos);
}
