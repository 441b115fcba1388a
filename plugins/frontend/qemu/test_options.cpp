#include "option_table.hpp"
#include "test_kit.hpp"

using namespace backplane::qemu;

TEST_CASE("memory is megabytes, or a size with a suffix") {
    CHECK(says(translated({"-m", "1024"}), "memory: 1G"));
    CHECK(says(translated({"-m", "384"}), "memory: 384M"));
    CHECK(says(translated({"-m", "1.5G"}), "memory: 1536M"));
    CHECK(says(translated({"-m", "size=2G"}), "memory: 2G"));
    CHECK(says(translated({"-m", "131072K"}), "memory: 128M"));
    for (const char* wrong : {"x", "-5", "0", "1Q", "1GG", "nan", "inf", ""})
        CHECK(refusal({"-m", wrong}).find("-m " + std::string(wrong)) == 0);
    CHECK(refusal({"-m", "1G,slots=2,maxmem=4G"}).find("slots=") != std::string::npos);
}

TEST_CASE("the board's names of many years") {
    CHECK(says(translated({}), "machine: pc-0.12"));
    CHECK(says(translated({"-M", "pc"}), "machine: pc-0.12"));
    CHECK(says(translated({"-machine", "type=isapc,accel=tcg"}), "machine: isapc"));
    CHECK(says(translated({"-M", "pc-0.11"}), "machine: pc-0.11"));
    const Result newer = translated({"-M", "pc-i440fx-7.2,usb=off,dump-guest-core=off"});
    CHECK(says(newer, "machine: pc-0.12"));
    CHECK(warned(newer, "pc-i440fx-7.2"));
    CHECK(refusal({"-M", "q35"}).find("-M q35") == 0);
    CHECK(refusal({"-M", "toaster"}).find("-M help") != std::string::npos);
    CHECK(refusal({"-M", "pc,usb=on"}).find("usb=on") != std::string::npos);
}

TEST_CASE("an empty machine has no defaults to be warned about") {
    const Result r = translated({"-M", "none", "-S"});
    CHECK(r.warnings.empty());
    CHECK(runs_with(r, "paused"));
    CHECK(r.machine.find("drives") == std::string::npos);
}

TEST_CASE("a debugger attaches where it was told, or where it always did") {
    const auto where = [](const Result& r) {
        for (const auto& [name, value] : r.run)
            if (name == "gdb") return value;
        return std::string("nowhere");
    };
    CHECK(where(translated({"-s", "-S"})) == "tcp:127.0.0.1:1234");
    CHECK(where(translated({"-gdb", "tcp::5000"})) == "tcp:127.0.0.1:5000");
    CHECK(where(translated({"-gdb", "unix:/t/g,server,nowait"})) == "unix:/t/g");
    CHECK(where(translated({"-gdb", "none"})) == "nowhere");
    CHECK(refusal({"-gdb", "stdio"}).find("-gdb stdio") == 0);
}

TEST_CASE("the number of processors, whichever way it is written") {
    CHECK_FALSE(says(translated({"-smp", "1"}), "count"));
    CHECK_FALSE(warned(translated({"-smp", "1,sockets=1,cores=1,threads=1"}), "-smp"));
    for (const char* two : {"2", "2,cores=2", "cpus=2", "sockets=1,cores=2", "2,maxcpus=2", "maxcpus=2", "threads=2"}) {
        INFO(two);
        CHECK(says(translated({"-smp", two}), "  count: 2"));
        CHECK_FALSE(warned(translated({"-smp", two}), "-smp"));
    }
    CHECK(says(translated({"-smp", "cpus=4,sockets=2,cores=2,threads=1"}), "  count: 4"));
    CHECK(says(translated({"-smp", "4", "-smp", "1"}), "  count: 1"));
    CHECK(warned(translated({"-smp", "1,maxcpus=4"}), "-smp 1,maxcpus=4"));
    CHECK(refusal({"-smp", "4,maxcpus=2"}).find("-smp 4,maxcpus=2") == 0);
    CHECK(refusal({"-smp", "x"}).find("-smp x") == 0);
}

TEST_CASE("the first usable accelerator is taken") {
    CHECK(says(translated({"-accel", "kvm", "-accel", "tcg"}), "  engine: auto"));
    CHECK_FALSE(warned(translated({"-accel", "kvm", "-accel", "tcg"}), "kvm"));
    CHECK(says(translated({"-machine", "pc,accel=kvm:tcg"}), "  engine: auto"));
    CHECK(says(translated({"-machine", "pc,accel=tcg:kvm"}), "  engine: interp"));
    const Result kvm = translated({"-enable-kvm"});
    CHECK(says(kvm, "  engine: auto"));
    CHECK(warned(kvm, "-enable-kvm: /dev/kvm: ") == (::access("/dev/kvm", R_OK | W_OK) != 0));
    CHECK(says(translated({"-accel", "hax", "-accel", "tcg"}), "  engine: interp"));
    CHECK(warned(translated({"-accel", "hax"}), "-accel hax: hax is not usable"));
    CHECK(says(translated({"-accel", "qtest"}), "  engine: none"));
    CHECK(refusal({"-accel", "warp"}).find("-accel warp") == 0);
}

TEST_CASE("processors and their features are passed on, unknown ones are refused") {
    for (const char* model : {"486", "pentium2", "qemu64", "kvm64", "core2duo", "phenom", "n270", "max"}) {
        CHECK(says(translated({"-cpu", model}), "  model: " + std::string(model)));
        CHECK_FALSE(warned(translated({"-cpu", model}), "-cpu"));
    }
    CHECK(says(translated({"-cpu", "qemu64,+sse4.1,+ssse3,nx=off"}), "  model: \"qemu64,+sse4_1,+ssse3,-nx\""));
    CHECK(says(translated({"-cpu", "qemu64-x86_64-cpu,check"}), "  model: qemu64"));
    CHECK(refusal({"-cpu", "z80"}).find("-cpu z80") == 0);
    CHECK(refusal({"-cpu", "qemu65"}).find("did you mean `qemu64`?") != std::string::npos);
    CHECK(refusal({"-cpu", "qemu64,+sse9"}).find("there is no feature \"sse9\"") != std::string::npos);
    CHECK(refusal({"-cpu", "qemu64,-sse2"}).find("needs `sse2`") != std::string::npos);
}

TEST_CASE("other processors and features that are not emulated bring a warning") {
    const Result other = translated({"-cpu", "Haswell-noTSX,-aes"});
    CHECK(warned(other, "the model max"));
    CHECK(says(other, "  model: \"max,-aes\""));
    CHECK(warned(translated({"-cpu", "host"}), "the model max"));
    const Result absent = translated({"-cpu", "kvm64,+x2apic,-vmx"});
    CHECK(warned(absent, "x2apic is not emulated"));
    CHECK_FALSE(warned(absent, "vmx is not"));
    CHECK(says(absent, "  model: kvm64"));
    CHECK(refusal({"-cpu", "kvm64,+x2apic,enforce"}).find("x2apic is not emulated") != std::string::npos);
    const Result needy = translated({"-cpu", "qemu64,+avx2"});
    CHECK(warned(needy, "`avx2` needs `avx` and `xsave`, which the guest gets as well"));
    CHECK(says(needy, "  model: \"qemu64,+avx2,+avx,+xsave\""));
    CHECK(refusal({"-cpu", "qemu64,-pae"}).find("needs `pae`") != std::string::npos);
    CHECK(warned(translated({"-cpu", "qemu64,kvm=off"}), "kvm=off has no effect"));
    CHECK(warned(translated({"-cpu", "qemu64,vendor=GenuineIntel"}), "vendor=GenuineIntel has no effect"));
}

TEST_CASE("clock, names and how it runs") {
    CHECK(says(translated({"-localtime"}), "  start: host-local"));
    CHECK(says(translated({"-rtc", "base=localtime,clock=host,driftfix=none"}), "  start: host-local"));
    CHECK(says(translated({"-rtc", "base=2006-06-17T16:01:21"}), "  start: \"2006-06-17T16:01:21\""));
    CHECK(translated({"-rtc", "base=utc"}).machine.find("clock") == std::string::npos);
    CHECK(says(translated({"-name", "xp,process=x"}), "name: xp"));
    CHECK(says(translated({"-name", "guest=two words"}), "name: \"two words\""));
    CHECK(says(translated({"-uuid", "12345678-90ab-cdef-1234-567890abcdef"}),
               "uuid: 12345678-90ab-cdef-1234-567890abcdef"));
    CHECK(refusal({"-uuid", "1234"}).find("-uuid 1234") == 0);
    CHECK(runs_with(translated({"-no-reboot"}), "no-reboot"));
    CHECK(runs_with(translated({"-action", "reboot=shutdown"}), "no-reboot"));
    CHECK(says(translated({"-boot", "cad"}), "boot: cad"));
    const Result once = translated({"-boot", "order=c,once=d,menu=on"});
    CHECK(says(once, "boot_once: d"));
    CHECK(says(once, "boot_menu: true"));
}

TEST_CASE("every default that is not served is named in one line") {
    CHECK(translated({}).warnings.size() == 3);
    CHECK(translated({"-vga", "std"}).warnings.size() == 2);
    CHECK(translated({"-vga", "std", "-net", "none"}).warnings.size() == 1);
    CHECK(translated({"-vga", "std", "-net", "none", "-display", "none"}).warnings.empty());
    CHECK(translated({"-nodefaults"}).warnings.empty());
    CHECK(says(translated({"-nodefaults"}), "vga: none"));
}

TEST_CASE("an option that is not served is named with what to do") {
    for (const Option& o : options()) {
        if (o.handler) continue;
        std::vector<std::string> words{"-" + std::string(o.name)};
        if (!o.argument.empty()) words.emplace_back("value");
        const std::string text = refusal(words);
        CHECK(text.find(words[0]) == 0);
        CHECK(text.find("not served by this version: " + std::string(o.text)) != std::string::npos);
        CHECK_FALSE(o.text.empty());
    }
}

TEST_CASE("a misspelt option is named with the nearest one") {
    CHECK(refusal({"-drvie", "x"}).find("-drvie: there is no such option; did you mean -drive?") == 0);
    CHECK(refusal({"-foo"}).find("did you mean") == std::string::npos);
    CHECK(refusal({"-m"}) == "-m: MEGABYTES is missing");
    CHECK(refusal({""}) == "\"\": an empty argument");
}

TEST_CASE("one dash or two") { CHECK(says(translated({"--m", "64"}), "memory: 64M")); }

TEST_CASE("help is a text, and nothing runs") {
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{{"-help"},
                                                                                       {"-h"},
                                                                                       {"-version"},
                                                                                       {"-M", "help"},
                                                                                       {"-M", "?"},
                                                                                       {"-cpu", "help"},
                                                                                       {"-device", "help"},
                                                                                       {"-accel", "help"},
                                                                                       {"-chardev", "help"},
                                                                                       {"-device", "ide-hd,help"}})
        CHECK_FALSE(translated(words).print.empty());
    for (const Option& o : options()) CHECK(help_text().find("-" + std::string(o.name)) != std::string::npos);
}

TEST_CASE("values are quoted where YAML would read them otherwise") {
    CHECK(yaml_value("plain-1.0") == "plain-1.0");
    CHECK(yaml_value("null") == "\"null\"");
    CHECK(yaml_value("") == "\"\"");
    CHECK(yaml_value("a \"b\" \\ c") == "\"a \\\"b\\\" \\\\ c\"");
    CHECK(yaml_value("a\nb") == "\"a\\x0ab\"");
}

TEST_CASE("a board without ACPI is refused where it has it") {
    const std::string text = "acpi=off is not served by this version: the board always has ACPI";
    CHECK(refusal({"-machine", "pc,acpi=off"}).find("-machine pc,acpi=off: " + text) == 0);
    CHECK(refusal({"-machine", "acpi=off", "-M", "pc-0.11"}).find(text) != std::string::npos);
    CHECK(refusal({"-machine", "acpi=off", "-M", "isapc"}).empty());
    CHECK(refusal({"-machine", "pc,acpi=on"}).empty());
}

TEST_CASE("a kernel, its initial RAM disk and its command line") {
    const Result r =
        translated({"-kernel", "/boot/linux", "-initrd", "/boot/initrd.gz", "-append", "root=/dev/sda1 \"x y\""});
    CHECK(says(r, "kernel: \"/boot/linux\""));
    CHECK(says(r, "initrd: \"/boot/initrd.gz\""));
    CHECK(says(r, "append: \"root=/dev/sda1 \\\"x y\\\"\""));
    CHECK(says(translated({"-kernel", "/k", "-initrd", "/a one,/b two,/c"}), "initrd: \"/a one,/b two,/c\""));
    CHECK(translated({"-kernel", "k", "-initrd", "a,b"}).machine.find(",/") != std::string::npos);
    CHECK(refusal({"-kernel", ""}).find("-kernel") == 0);
}
