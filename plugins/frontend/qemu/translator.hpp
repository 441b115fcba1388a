// From QEMU's options to a VM file. Options are read in the order in which they were written; what refers to something
// that may stand behind it (a drive, a character stream) is put together at the end.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "drives/drives.hpp"
#include "drives/keys.hpp"
#include "streams.hpp"
#include "vm_file.hpp"

namespace backplane::qemu {

// What comes out.
struct Result {
    std::string machine;                                   // the VM file
    std::string print;                                     // only this text is wanted, if it is not empty
    std::vector<std::string> warnings;                     // one line each
    std::vector<std::pair<std::string, std::string>> run;  // options of `backplane run`
    bool only_machine = false;
};

// One option: "hda", its value, and how errors name it ("-hda x.img", or a place in an imported file).
struct Item {
    std::string name, value, option;
};

// Splits a command line. Throws drives::OptionError for an empty argument or a missing value.
std::vector<Item> read_arguments(const std::vector<std::string>& arguments);

// "1024" (in units of `unit` bytes), "1.5G", in bytes; 0 if it is no size.
std::uint64_t size_of(std::string_view text, std::uint64_t unit);

class Translator {
  public:
    // `lenient`: what cannot be served becomes a remark, as in a description that is imported.
    explicit Translator(bool lenient) : lenient_(lenient) {}

    // Throws drives::OptionError.
    Result translate(const std::vector<Item>& items, const std::string& title);
    // A remark on what the items do not say.
    void remark(const std::string& text) { warn(text); }

    // One for each option; `option` is what the user wrote.
    using Handler = void (Translator::*)(const std::string& value, const std::string& option);

    void machine(const std::string& value, const std::string& option);
    void memory(const std::string& value, const std::string& option);
    void processors(const std::string& value, const std::string& option);
    void cpu(const std::string& value, const std::string& option);
    void accelerator(const std::string& value, const std::string& option);
    void enable_kvm(const std::string& value, const std::string& option);
    void rtc(const std::string& value, const std::string& option);
    void localtime(const std::string& value, const std::string& option);
    void startdate(const std::string& value, const std::string& option);
    void boot(const std::string& value, const std::string& option);
    void name(const std::string& value, const std::string& option);
    void uuid(const std::string& value, const std::string& option);
    void bios(const std::string& value, const std::string& option);
    void kernel(const std::string& value, const std::string& option);
    void initrd(const std::string& value, const std::string& option);
    void append(const std::string& value, const std::string& option);
    void data_folder(const std::string& value, const std::string& option);
    void no_hpet(const std::string& value, const std::string& option);
    void paused(const std::string& value, const std::string& option);
    void debugger(const std::string& value, const std::string& option);
    void usual_debugger(const std::string& value, const std::string& option);
    void no_reboot(const std::string& value, const std::string& option);
    void no_shutdown(const std::string& value, const std::string& option);
    void action(const std::string& value, const std::string& option);
    void print_machine(const std::string& value, const std::string& option);
    void help(const std::string& value, const std::string& option);
    void version(const std::string& value, const std::string& option);
    void nothing(const std::string& value, const std::string& option);
    void no_default_devices(const std::string& value, const std::string& option);

    template <unsigned Position>
    void disk(const std::string& value, const std::string& option) {
        add_disk(Position, value, option);
    }
    void cdrom(const std::string& value, const std::string& option);
    void drive(const std::string& value, const std::string& option);
    void blockdev(const std::string& value, const std::string& option);
    void snapshot(const std::string& value, const std::string& option);

    void chardev(const std::string& value, const std::string& option);
    void serial(const std::string& value, const std::string& option);
    void parallel(const std::string& value, const std::string& option);
    void debugcon(const std::string& value, const std::string& option);
    void monitor(const std::string& value, const std::string& option);
    void mon(const std::string& value, const std::string& option);
    void qmp(const std::string& value, const std::string& option);
    void qtest(const std::string& value, const std::string& option);

    void device(const std::string& value, const std::string& option);
    void global(const std::string& value, const std::string& option);
    void vga(const std::string& value, const std::string& option);
    void display(const std::string& value, const std::string& option);
    void no_graphics(const std::string& value, const std::string& option);
    void network(const std::string& value, const std::string& option);
    void kernel_irqchip(const std::string& value, const std::string& option);

  private:
    struct Port {  // serial or parallel
        Stream stream;
        std::string option;
        unsigned base = 0, irq = 0;  // 0: by its number
        int index = -1;
    };
    struct Protocol {  // monitor, QMP
        Stream stream;
        bool json = false;
        std::string option;
        bool pretty = false;
    };
    struct Global {
        std::string driver, property, value, option;
        bool used = false;
    };
    struct BlockNode {
        std::string file, option;
        std::vector<std::pair<std::string, std::string>> parameters;
    };

    void warn(const std::string& text) { result_.warnings.push_back(text); }
    void apply(const Item& item);
    // Runs `work`; if it fails and this is an import, a remark says so.
    void attempt(const std::function<void()>& work);
    // "a=b,..." or a JSON object.
    static drives::Keys keys_of(const std::string& text, const char* first, const std::string& option);

    void add_disk(unsigned position, const std::string& value, const std::string& option);
    void choose_board(const std::string& name, const std::string& option);
    void choose_accelerators(const std::string& list, const std::string& option);
    drives::Keys with_whole_paths(drives::Keys keys);
    BlockNode read_node(const std::vector<drives::Key>& keys, const std::string& prefix, const std::string& option);
    BlockNode& referenced_node(const std::string& id, const std::string& option);
    static std::string image_path(const std::string& file, const std::string& option);

    bool make_device(const std::string& driver, drives::Keys keys);
    void serial_device(drives::Keys& keys);
    void parallel_device(drives::Keys& keys);
    void debugcon_device(drives::Keys& keys);
    void exit_device(drives::Keys& keys);
    void pc_test_device(drives::Keys& keys);
    void pci_test_device(drives::Keys& keys);
    void display_device(const std::string& driver, drives::Keys& keys);

    // At the end.
    void finish();
    void finish_defaults();
    void finish_drives();
    void finish_devices();
    void finish_ports();
    void finish_serial(const Port& port, std::size_t number);
    void finish_parallel(const Port& port, std::size_t number);
    void finish_protocols();
    void finish_firmware();
    const Stream& resolved(const Stream& stream) const;
    // The name of a back end for it; "" for nothing.
    std::string back_end(const Stream& stream, const std::string& name);
    VmFile::Entries place_of(const Stream& stream, const std::string& name, const std::string& option);
    void take_stdio(const std::string& option);
    void take_chardev(const Stream& stream);

    bool lenient_;
    Result result_;
    VmFile vm_;
    drives::DriveList drives_;
    std::map<std::string, Stream> chardevs_;
    std::map<std::string, std::string> chardev_users_;  // id -> the option that has it
    std::map<std::string, BlockNode> nodes_;
    std::vector<Port> serials_, parallels_;
    std::vector<Protocol> protocols_;
    std::vector<Global> globals_;
    std::vector<std::pair<std::string, std::string>> devices_;  // value, option
    std::vector<std::string> accelerators_;
    std::string accelerator_option_, bios_, bios_option_, folder_, folder_option_;
    std::string vga_, vga_option_, no_graphics_option_, qtest_option_, stdio_option_, acpi_off_option_;
    Stream qtest_;
    unsigned debugcons_ = 0;
    bool nodefaults_ = false, display_given_ = false, network_given_ = false, monitor_given_ = false,
         ide_device_given_ = false, serial_given_ = false, parallel_given_ = false, stdio_is_terminal_ = false;
};

}  // namespace backplane::qemu
