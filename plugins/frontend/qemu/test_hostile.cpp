// Command lines and files that nobody would write: none may do anything but come out or be refused with its option.
#include <random>

#include "option_table.hpp"
#include "test_kit.hpp"

using namespace backplane::qemu;

namespace {

constexpr unsigned kRounds = 20000, kFiles = 2000;

const std::vector<std::string> kPieces{"file=",
                                       "x.img",
                                       "if=none",
                                       ",",
                                       ",,",
                                       "=",
                                       "id=a",
                                       "drive=a",
                                       "ide-hd",
                                       "ide-cd",
                                       "bus=ide.0",
                                       "unit=1",
                                       "unit=9999999999999999999",
                                       "driver=",
                                       "node-name=a",
                                       "raw",
                                       "qcow2",
                                       "{",
                                       "}",
                                       "\"",
                                       ":",
                                       "[",
                                       "\\",
                                       "socket",
                                       "path=/x",
                                       "server",
                                       "nowait",
                                       "unix:",
                                       "tcp:",
                                       "mon:",
                                       "chardev:",
                                       "chardev=a",
                                       "null",
                                       "pty",
                                       "stdio",
                                       "file:",
                                       "mode=control",
                                       "type=",
                                       "pc",
                                       "none",
                                       "help?",
                                       "1",
                                       "-1",
                                       "0x",
                                       "1e400",
                                       "G",
                                       "\n",
                                       "\t",
                                       "\x80",
                                       "\xff",
                                       "#",
                                       "  # ",
                                       "'",
                                       "~",
                                       "isa-serial",
                                       "isa-debugcon",
                                       "iobase=",
                                       "size=",
                                       "base=",
                                       "order=",
                                       "json:",
                                       "nbd:x",
                                       "cyls=1,heads=1,secs=1",
                                       "media=cdrom",
                                       "index=3",
                                       std::string(3000, 'a'),
                                       std::string(1, '\0')};

class Random {
  public:
    explicit Random(unsigned seed) : engine_(seed) {}
    std::size_t below(std::size_t n) { return engine_() % n; }
    std::string value() {
        std::string out;
        for (std::size_t i = below(6); i-- > 0;) out += kPieces[below(kPieces.size())];
        return out;
    }

  private:
    std::mt19937 engine_;
};

}  // namespace

TEST_CASE("random arguments come out or are refused, and the refusal names one of them") {
    Random random(586175);
    unsigned refused = 0;
    for (unsigned round = 0; round < kRounds; ++round) {
        std::vector<std::string> words;
        for (std::size_t i = 1 + random.below(5); i-- > 0;) {
            const Option& o = options()[random.below(options().size())];
            // Most random lines would end at an option that is never served.
            if (!o.handler && random.below(8) != 0) continue;
            words.push_back("-" + std::string(o.name));
            if (!o.argument.empty()) words.push_back(random.value());
        }
        const std::string text = refusal(words);
        if (text.empty()) continue;
        ++refused;
        bool named = text.starts_with("\"\"");
        for (const std::string& w : words) named = named || (!w.empty() && text.find(w) != std::string::npos);
        if (!named) FAIL_CHECK(text);
    }
    CHECK(refused > kRounds / 4);
    CHECK(refused < kRounds);
}

TEST_CASE("a damaged file is refused or read, and nothing else happens") {
    const std::vector<std::pair<std::string, std::string>> files{
        {"a.xml",
         "<domain><name>x</name><memory unit='KiB'>65536</memory><os><type machine='pc'>hvm</type></os><devices>"
         "<disk type='file'><source file='/a'/><target dev='hda' bus='ide'/></disk></devices></domain>"},
        {"a.vbox", "<VirtualBox><Machine name='x'><Hardware><Memory RAMSize='64'/></Hardware></Machine></VirtualBox>"},
        {"a.vmx",
         "config.version = \"8\"\nmemsize = \"64\"\nide0:0.present = \"TRUE\"\nide0:0.fileName = \"a|22|zz|\"\n"},
        {"a.sh", "A=1 kvm -m 64 -hda 'a b' -drive \"file=x,if=none,id=a\" \\\n -device ide-hd,drive=a\n"}};
    Random random(7);
    unsigned read = 0;
    for (unsigned round = 0; round < kFiles; ++round) {
        auto [path, text] = files[round % files.size()];
        for (std::size_t i = random.below(4); i-- > 0;) {
            const std::size_t at = random.below(text.size());
            if (random.below(2))
                text.erase(at, random.below(8));
            else
                text.insert(at, kPieces[random.below(kPieces.size())]);
        }
        try {
            import_file(path, text);
            ++read;
        } catch (const backplane::drives::OptionError& e) {
            if (std::string(e.what()).find(path) == std::string::npos) FAIL_CHECK(e.what());
        }
    }
    CHECK(read > kFiles / 8);
}
