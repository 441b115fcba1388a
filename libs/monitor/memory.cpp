#include "monitor/memory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>

namespace backplane::monitor {

namespace {

struct Format {
    std::uint64_t count = 1;
    char form = 'x';
    unsigned bytes = 4;
};

Format parse(const std::string& text) {
    Format f;
    std::size_t i = 1;
    if (i < text.size() && text[i] >= '0' && text[i] <= '9') {
        f.count = 0;
        for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i)
            f.count = std::min<std::uint64_t>(10 * f.count + static_cast<std::uint64_t>(text[i] - '0'), 1'000'000);
    }
    for (; i < text.size(); ++i) switch (text[i]) {
            case 'x':
            case 'd':
            case 'u':
            case 'o':
            case 'c': f.form = text[i]; break;
            case 'b': f.bytes = 1; break;
            case 'h': f.bytes = 2; break;
            case 'w': f.bytes = 4; break;
            case 'g': f.bytes = 8; break;
            default:
                throw std::runtime_error("expected /COUNT, a form (x d u o c) and a size (b h w g), found " +
                                         text.substr(0, 40));
        }
    if (f.form == 'c') f.bytes = 1;
    if (f.count == 0 || f.count > 65536) throw std::runtime_error("expected a count of 1 to 65536");
    return f;
}

std::uint64_t number(const std::string& word) {
    char* end = nullptr;
    errno = 0;
    const std::uint64_t value = std::strtoull(word.c_str(), &end, 0);
    if (word.empty() || word[0] == '-' || *end || errno)
        throw std::runtime_error("expected a number, found `" + word.substr(0, 40) + "`");
    return value;
}

std::string shown(std::uint64_t value, char form, unsigned bytes) {
    char text[40];
    const auto v = static_cast<unsigned long long>(value);
    switch (form) {
        case 'd':
            std::snprintf(text, sizeof text, "%lld", static_cast<long long>(v << (64 - 8 * bytes)) >> (64 - 8 * bytes));
            break;
        case 'u': std::snprintf(text, sizeof text, "%llu", v); break;
        case 'o': std::snprintf(text, sizeof text, "0%llo", v); break;
        case 'c':
            if (v >= 32 && v < 127)
                std::snprintf(text, sizeof text, "'%c'", static_cast<char>(v));
            else
                std::snprintf(text, sizeof text, "'\\x%02llx'", v & 0xff);
            break;
        default: std::snprintf(text, sizeof text, "0x%0*llx", static_cast<int>(2 * bytes), v); break;
    }
    return text;
}

// Physical memory, little-endian; empty where there is none.
std::optional<std::uint64_t> read(const Call& call, std::uint64_t address, unsigned bytes) {
    try {
        const std::string data = call("memory-read", {{"address", address}, {"size", bytes}}).at("data");
        std::uint64_t value = 0;
        for (unsigned n = bytes; n-- > 0;) value = value << 8 | std::stoul(data.substr(2 * n, 2), nullptr, 16);
        return value;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

// The page tables of IA-32, with 32-bit or PAE entries. Empty: the page is not there.
class PageTables {
  public:
    // Not `linear`: addresses are physical already.
    PageTables(const Call& call, bool linear) : call_(call) {
        if (!linear) return;
        const Json cpus = call("cpu-list", Json::object());
        if (cpus.empty()) return;
        const auto current =
            std::find_if(cpus.begin(), cpus.end(), [](const Json& c) { return c.value("current", false); });
        const std::string name = (current != cpus.end() ? *current : cpus.at(0)).at("name");
        const Json state = call("state-get", {{"path", name}});
        const auto field = [&](const char* key) { return state.value(name + "." + key, std::uint64_t{0}); };
        cr0_ = field("cr0"), cr3_ = field("cr3"), cr4_ = field("cr4");
    }
    std::optional<std::uint64_t> physical(std::uint64_t linear) const {
        if (!(cr0_ & kPaging)) return linear;
        linear &= 0xffff'ffff;
        return cr4_ & kPae ? pae(linear) : plain(linear);
    }

  private:
    static constexpr std::uint64_t kPaging = 1u << 31, kPae = 1u << 5, kPse = 1u << 4, kPresent = 1, kLarge = 1u << 7;

    std::optional<std::uint64_t> plain(std::uint64_t linear) const {
        const auto entry = read(call_, (cr3_ & ~0xfffull) + (linear >> 22) * 4, 4);
        if (!entry || !(*entry & kPresent)) return std::nullopt;
        if ((*entry & kLarge) && (cr4_ & kPse)) return (*entry & 0xffc00000) | (linear & 0x3fffff);
        const auto page = read(call_, (*entry & ~0xfffull) + (linear >> 12 & 0x3ff) * 4, 4);
        if (!page || !(*page & kPresent)) return std::nullopt;
        return (*page & ~0xfffull) | (linear & 0xfff);
    }
    std::optional<std::uint64_t> pae(std::uint64_t linear) const {
        constexpr std::uint64_t kAddress = 0x000f'ffff'ffff'f000;
        const auto pointer = read(call_, (cr3_ & ~0x1full) + (linear >> 30) * 8, 8);
        if (!pointer || !(*pointer & kPresent)) return std::nullopt;
        const auto entry = read(call_, (*pointer & kAddress) + (linear >> 21 & 0x1ff) * 8, 8);
        if (!entry || !(*entry & kPresent)) return std::nullopt;
        if (*entry & kLarge) return (*entry & kAddress & ~0x1fffffull) | (linear & 0x1fffff);
        const auto page = read(call_, (*entry & kAddress) + (linear >> 12 & 0x1ff) * 8, 8);
        if (!page || !(*page & kPresent)) return std::nullopt;
        return (*page & kAddress) | (linear & 0xfff);
    }

    const Call& call_;
    std::uint64_t cr0_ = 0, cr3_ = 0, cr4_ = 0;
};

}  // namespace

std::string dump_memory(const Call& call, const std::vector<std::string>& words, bool linear) {
    const bool formatted = words.size() > 1 && words[1].starts_with("/");
    if (words.size() != (formatted ? 3u : 2u))
        throw std::runtime_error(words[0] + " /FORMAT ADDRESS, such as /16xb 0x7c00");
    const Format f = formatted ? parse(words[1]) : Format{};
    const std::uint64_t start = number(words.back());
    const PageTables tables(call, linear);
    const unsigned a_line = f.form == 'c' ? 16 : f.bytes == 1 ? 8 : f.bytes == 2 ? 8 : f.bytes == 4 ? 4 : 2;
    std::string out;
    for (std::uint64_t n = 0; n < f.count; ++n) {
        const std::uint64_t address = start + n * f.bytes;
        if (n % a_line == 0) {
            char label[24];
            std::snprintf(label, sizeof label, "%s%016llx:", n ? "\n" : "", static_cast<unsigned long long>(address));
            out += label;
        }
        const auto place = tables.physical(address);
        const auto value = place ? read(call, *place, f.bytes) : std::nullopt;
        if (!value) return out + " Cannot access memory\n";
        out += " " + shown(*value, f.form, f.bytes);
    }
    return out + "\n";
}

std::string print_number(const std::vector<std::string>& words) {
    const bool formatted = words.size() > 1 && words[1].starts_with("/");
    if (words.size() != (formatted ? 3u : 2u)) throw std::runtime_error("print [/x|/d|/u|/o|/c] NUMBER");
    const char form = formatted ? parse(words[1]).form : 'd';
    const std::uint64_t value = number(words.back());
    if (form == 'x') {
        char text[24];
        std::snprintf(text, sizeof text, "0x%llx\n", static_cast<unsigned long long>(value));
        return text;
    }
    return shown(value, form, 8) + "\n";
}

}  // namespace backplane::monitor
