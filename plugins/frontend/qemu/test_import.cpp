#include "shell_words.hpp"
#include "test_kit.hpp"

using namespace backplane::qemu;

TEST_CASE("words of a shell") {
    const auto c =
        shell_commands("# note\nA=1 kvm -name 'two words' \\\n  -hda \"a \\\"b\\\"\" x\\ y # end\nls; pwd\n");
    REQUIRE(c.size() == 3);
    CHECK(c[0] == std::vector<std::string>{"A=1", "kvm", "-name", "two words", "-hda", "a \"b\"", "x y"});
    CHECK(c[2] == std::vector<std::string>{"pwd"});
    CHECK(shell_commands("").empty());
    CHECK(shell_commands("'open").size() == 1);
}

TEST_CASE("a command line in a file: the last start in a log counts, and what is not served is a remark") {
    const std::string log =
        "2010-05-26 10:00:00: starting up\nLC_ALL=C PATH=/bin /usr/bin/kvm -S -M pc-0.12 -m 256 -hda /old.img\n"
        "2010-05-27 10:00:00: starting up\nLC_ALL=C PATH=/bin /usr/bin/kvm -M pc-0.12 -enable-kvm -m 512 -name xp "
        "-nodefaults -hda /x.img -usb -vnc 127.0.0.1:0 -k en-us -vga cirrus -net nic\n";
    REQUIRE(format_of("xp.log", log) == Format::kCommandLine);
    const Result r = import_file("xp.log", log);
    CHECK(says(r, "memory: 512M"));
    CHECK(says(r, "    file: \"/x.img\""));
    for (const char* left_out : {"-usb", "-vnc", "-k en-us", "-vga cirrus", "-net nic"}) {
        CHECK(warned(r, left_out));
        CHECK(r.machine.find("# " + std::string(left_out)) != std::string::npos);
    }
    CHECK_FALSE(runs_with(r, "paused"));
    CHECK(format_of("x", "#!/bin/sh\nexec qemu-system-x86_64 -hda a\n") == Format::kCommandLine);
    CHECK(format_of("x", "#!/bin/sh\nls -l\n") == Format::kNone);
}

TEST_CASE("a libvirt domain") {
    const std::string xml = R"(<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>xp</name>
  <uuid>12345678-90ab-cdef-1234-567890abcdef</uuid>
  <memory>524288</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc-0.12'>hvm</type><boot dev='cdrom'/><boot dev='hd'/></os>
  <features><acpi/><hyperv/></features>
  <clock offset='localtime'/>
  <on_reboot>restart</on_reboot>
  <devices>
    <emulator>/usr/bin/kvm</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='/x/a,b.img'/>
      <target dev='hda' bus='ide'/>
      <geometry cyls='10' heads='4' secs='17'/>
      <address type='drive' controller='0' bus='0' unit='1'/>
    </disk>
    <disk type='file' device='cdrom'><target dev='hdc' bus='ide'/><readonly/></disk>
    <disk type='file' device='disk'><source file='/v.img'/><target dev='vda' bus='virtio'/></disk>
    <interface type='network'><model type='rtl8139'/></interface>
    <serial type='pty'><target port='0'/></serial>
    <console type='pty'><target type='serial' port='0'/></console>
    <input type='tablet' bus='usb'/>
    <video><model type='cirrus'/></video>
  </devices>
  <qemu:commandline><qemu:arg value='-debugcon'/><qemu:arg value='file:/t/d'/></qemu:commandline>
</domain>)";
    REQUIRE(format_of("xp.xml", xml) == Format::kLibvirt);
    const Result r = import_file("xp.xml", xml);
    INFO(r.machine);
    for (const char* line : {"memory: 512M", "name: xp", "boot: dc", "    file: \"/x/a,b.img\"", "    format: qcow2",
                             "    cache: none", "      heads: 4", "    media: cdrom", "  start: host-local", "vga: std",
                             "  com1-host: {type: chardev.host, target: pty}"})
        CHECK(says(r, line));
    CHECK(r.machine.find("  hdb:\n") != std::string::npos);
    CHECK(r.machine.find("debug.console") != std::string::npos);
    for (const char* remark :
         {"xp.xml:7: <hyperv>", "xp.xml:20: <disk>", "xp.xml:21: <interface>", "<input>", "cirrus"})
        CHECK(warned(r, remark));
    CHECK(r.machine.find("# xp.xml:4: <memory>") != std::string::npos);
    CHECK_THROWS_AS(import_file("xp.xml", "<domain><a></domain>"), backplane::drives::OptionError);
    CHECK(says(import_file("xp.xml", "<domain><devices><graphics type='vnc'/></devices></domain>"), "vga: std"));
    CHECK(says(import_file("xp.xml", "<domain><devices/></domain>"), "vga: none"));
    std::string deep = "<domain>";
    for (int i = 0; i < 100000; ++i) deep += "<a>";
    CHECK_THROWS_AS(import_file("xp.xml", deep), backplane::drives::OptionError);
}

TEST_CASE("a VirtualBox machine") {
    const std::string xml = R"(<?xml version="1.0"?>
<VirtualBox xmlns="http://www.virtualbox.org/" version="1.16-linux">
  <Machine uuid="{12345678-90ab-cdef-1234-567890abcdef}" name="xp" OSType="WindowsXP">
    <MediaRegistry><HardDisks>
      <HardDisk uuid="{a}" location="xp.img" format="RAW" type="Normal"><HardDisk uuid="{b}" location="/c.vdi" format="VDI"/></HardDisk>
    </HardDisks></MediaRegistry>
    <Hardware>
      <CPU count="2"/><Memory RAMSize="384"/>
      <Boot><Order position="1" device="DVD"/><Order position="2" device="HardDisk"/><Order position="3" device="None"/></Boot>
      <RTC localOrUTC="local"/>
      <Network><Adapter slot="0" enabled="true"/><Adapter slot="1" enabled="false"/></Network>
      <UART><Port slot="0" enabled="true" hostMode="RawFile" path="/t/s"/></UART>
    </Hardware>
    <StorageControllers><StorageController name="IDE" type="PIIX4">
      <AttachedDevice type="HardDisk" port="0" device="0"><Image uuid="{a}"/></AttachedDevice>
      <AttachedDevice type="HardDisk" port="0" device="1"><Image uuid="{b}"/></AttachedDevice>
      <AttachedDevice passthrough="false" type="DVD" port="1" device="0"/>
    </StorageController><StorageController type="AHCI"><AttachedDevice type="HardDisk" port="0" device="0"/></StorageController>
    </StorageControllers>
  </Machine>
</VirtualBox>)";
    REQUIRE(format_of("/vm/xp.vbox", xml) == Format::kVirtualBox);
    const Result r = import_file("/vm/xp.vbox", xml);
    INFO(r.machine);
    for (const char* line :
         {"memory: 384M", "name: xp", "boot: dc", "    file: \"/vm/xp.img\"", "    file: \"/c.vdi\"",
          "    media: cdrom", "  start: host-local", "uuid: 12345678-90ab-cdef-1234-567890abcdef", "  count: 2"})
        CHECK(says(r, line));
    for (const char* remark : {"<Adapter>", "AHCI", "VDI"}) CHECK(warned(r, remark));
}

TEST_CASE("a VMware machine") {
    const std::string text =
        "config.version = \"8\"\r\nvirtualHW.version = \"4\"\r\ndisplayName = \"My |22XP|22\"\r\nmemsize = \"256\"\r\n"
        "ide0:0.present = \"TRUE\"\r\nide0:0.fileName = \"xp.vmdk\"\r\nide1:0.present = \"TRUE\"\r\n"
        "ide1:0.fileName = \"auto detect\"\r\nide1:0.deviceType = \"cdrom-raw\"\r\nscsi0:0.present = \"TRUE\"\r\n"
        "ethernet0.present = \"TRUE\"\r\nfloppy0.present = \"FALSE\"\r\n"
        "uuid.bios = \"12 34 56 78 90 ab cd ef-12 34 56 78 90 ab cd ef\"\r\n";
    REQUIRE(format_of("/vm/xp.vmx", text) == Format::kVmware);
    const Result r = import_file("/vm/xp.vmx", text);
    INFO(r.machine);
    for (const char* line : {"memory: 256M", "name: \"My \\\"XP\\\"\"", "    file: \"/vm/xp.vmdk\"", "    media: cdrom",
                             "uuid: 12345678-90ab-cdef-1234-567890abcdef"})
        CHECK(says(r, line));
    for (const char* remark : {"VMDK", "scsi0:0", "ethernet0", "auto detect"}) CHECK(warned(r, remark));
    CHECK_FALSE(warned(r, "floppy0"));
    CHECK_THROWS_AS(import_file("x.vmx", "nothing"), backplane::drives::OptionError);
}
