// Reading YAML: yaml-cpp's event interface into our own tree, with every dimension bounded.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <istream>
#include <streambuf>
#include <unordered_map>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "kernel/config/value.hpp"

namespace backplane::kernel {

namespace {

using FileName = std::shared_ptr<const std::string>;

class TreeBuilder final : public YAML::EventHandler {
  public:
    TreeBuilder(FileName file, bool option) : file_(std::move(file)), option_(option) {}

    Value take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1) throw Error(place(mark), "a second document (`---`) is not allowed here");
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        Value v;
        v.set_position(place(mark));
        leaf(std::move(v), anchor);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) throw Error(place(mark), "an alias stands inside the value that it repeats");
        count(mark, found->second.nodes);
        if (static_cast<int>(open_.size()) + found->second.depth > kMaxYamlDepth) too_deep(mark);
        if (!open_.empty()) note_depth(found->second.depth);
        deliver(found->second.value);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& text) override {
        // yaml-cpp marks plain scalars with the tag "?", quoted ones with "!".
        refuse_tag(mark, tag);
        leaf(Value::scalar(text, place(mark), tag == "!"), anchor);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        refuse_tag(mark, tag);
        open(mark, Value::list(place(mark)), anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        refuse_tag(mark, tag);
        open(mark, Value::map(place(mark)), anchor);
    }
    void OnMapEnd() override { close(); }

  private:
    struct Open {
        Value value;
        YAML::anchor_t anchor = 0;
        std::size_t nodes_before = 0;
        int depth = 1;  // of what stands inside, counting this
        bool have_key = false;
        Value key;
        std::unordered_map<std::string, Position> keys;
    };
    struct Anchored {
        Value value;
        std::size_t nodes;
        int depth;
    };

    Position place(const YAML::Mark& mark) const {
        return option_ ? Position{file_, 0, 0} : Position{file_, mark.line + 1, mark.column + 1};
    }
    void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        if (tag != "?" && tag != "!" && !tag.empty()) throw Error(place(mark), "tags are not used here: `" + tag + "`");
    }
    void count(const YAML::Mark& mark, std::size_t nodes) {
        nodes_ += nodes;
        if (nodes_ > kMaxYamlNodes)
            throw Error(place(mark), "too large: more than " + std::to_string(kMaxYamlNodes) +
                                         " values (repetitions by alias counted in full)");
    }
    [[noreturn]] void too_deep(const YAML::Mark& mark) {
        throw Error(place(mark), "nested too deeply: more than " + std::to_string(kMaxYamlDepth) + " levels");
    }
    void note_depth(int inner) { open_.back().depth = std::max(open_.back().depth, inner + 1); }

    void leaf(Value value, YAML::anchor_t anchor) {
        count(mark_of(value), 1);
        if (anchor) keep(anchor, {value, 1, 0});
        deliver(std::move(value));
    }
    static YAML::Mark mark_of(const Value& value) {
        YAML::Mark mark;
        mark.line = value.position().line - 1, mark.column = value.position().column - 1;
        return mark;
    }
    void open(const YAML::Mark& mark, Value value, YAML::anchor_t anchor) {
        const std::size_t before = nodes_;
        count(mark, 1);
        if (static_cast<int>(open_.size()) >= kMaxYamlDepth) too_deep(mark);
        Open& top = open_.emplace_back();
        top.value = std::move(value), top.anchor = anchor, top.nodes_before = before;
    }
    void close() {
        Open done = std::move(open_.back());
        open_.pop_back();
        if (done.anchor) keep(done.anchor, {done.value, nodes_ - done.nodes_before, done.depth});
        if (!open_.empty()) note_depth(done.depth);
        deliver(std::move(done.value));
    }
    // Anchors inside anchors are kept more than once, so they have a budget of their own.
    void keep(YAML::anchor_t anchor, Anchored anchored) {
        kept_ += anchored.nodes;
        if (kept_ > kMaxYamlNodes) throw Error(anchored.value.position(), "too large: too many values behind anchors");
        anchors_[anchor] = std::move(anchored);
    }
    void deliver(Value value) {
        if (open_.empty()) {
            root_ = std::move(value);
            return;
        }
        Open& top = open_.back();
        if (top.value.is_list()) {
            top.value.items().push_back(std::move(value));
            return;
        }
        if (!top.have_key) {
            if (!value.is_scalar())
                throw Error(value.position(), "a key must be a single word, not " + std::string(value.kind_name()));
            top.key = std::move(value), top.have_key = true;
            return;
        }
        top.have_key = false;
        const auto [first, fresh] = top.keys.emplace(top.key.text(), top.key.position());
        if (!fresh)
            throw Error(top.key.position(),
                        "`" + top.key.text() + "` is given twice; the first stands at " + first->second.text());
        top.value.entries().push_back({top.key.text(), top.key.position(), std::move(value)});
    }
    FileName file_;
    bool option_;
    int documents_ = 0;
    std::size_t nodes_ = 0;
    std::size_t kept_ = 0;
    Value root_;
    std::vector<Open> open_;
    std::unordered_map<YAML::anchor_t, Anchored> anchors_;
};

// yaml-cpp reads a stream; this one reads what is already in memory.
struct MemoryBuffer final : std::streambuf {
    explicit MemoryBuffer(std::string_view text) {
        char* begin = const_cast<char*>(text.data());
        setg(begin, begin, begin + text.size());
    }
};

// Length of the UTF-8 sequence at `at`, or 0 if there is none.
std::size_t utf8_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(at);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || at + length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i)
        if ((byte(at + i) & 0xc0) != 0x80) return 0;
    // Overlong forms, surrogates, beyond U+10FFFF.
    const unsigned second = byte(at + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f))
        return 0;
    return length;
}

// A text file is UTF-8 and has no control characters but tab and line ends. (yaml-cpp would read UTF-16 too; nobody
// writes boards in it.)
void refuse_binary(std::string_view text, const FileName& file) {
    int line = 1, column = 1;
    for (std::size_t at = 0; at < text.size();) {
        const auto byte = static_cast<unsigned char>(text[at]);
        const bool control = byte < 0x20 ? byte != '\t' && byte != '\n' && byte != '\r' : byte == 0x7f;
        const std::size_t length = control ? 0 : utf8_length(text, at);
        if (length == 0) {
            static constexpr char kDigits[] = "0123456789ABCDEF";
            throw Error(Position{file, line, column}, std::string("not a UTF-8 text file: it holds the byte ") +
                                                          kDigits[byte >> 4] + kDigits[byte & 15] + "h");
        }
        at += length, ++column;
        if (byte == '\n') ++line, column = 1;
    }
}

// yaml-cpp takes a quoted text that the end of the file cuts off as complete if the last line is.
std::string_view without_last_line_end(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
    return text;
}

// A tab that indents: yaml-cpp complains about something further on.
Position indenting_tab(std::string_view text, const FileName& file, int error_line) {
    int line = 1;
    for (std::size_t begin = 0; begin < text.size() && line <= error_line; ++line) {
        const std::size_t first = std::min(text.find_first_not_of(" \t", begin), text.size());
        const std::size_t tab = std::min(text.find('\t', begin), text.size());
        if (tab < first && first < text.size() && text[first] != '\n' && text[first] != '#')
            return {file, line, static_cast<int>(tab - begin) + 1};
        begin = std::min(text.find('\n', begin), text.size() - 1) + 1;
    }
    return {};
}

Value parse(std::string_view text, FileName file, bool option) {
    if (!option) refuse_binary(text, file);
    MemoryBuffer buffer(without_last_line_end(text));
    std::istream stream(&buffer);
    TreeBuilder builder(file, option);
    try {
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(builder)) {}
    } catch (const Error&) {
        throw;
    } catch (const YAML::Exception& e) {
        const bool known = !option && !e.mark.is_null();
        if (const Position tab = known ? indenting_tab(text, file, e.mark.line + 1) : Position{}; tab.from_file())
            throw Error(tab, "not valid YAML: a tab cannot indent; use spaces");
        throw Error(known ? Position{file, e.mark.line + 1, e.mark.column + 1} : Position{file, 0, 0},
                    "not valid YAML: " + e.msg);
    } catch (const std::exception& e) {
        throw Error(Position{file, 0, 0}, std::string("not valid YAML: ") + e.what());
    }
    return builder.take();
}

std::string read_bounded(const std::string& path) {
    // Not blocking, so that a FIFO of this name cannot hang the start.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) throw Error(path + ": cannot open: " + std::strerror(errno));
    struct Closer {
        int fd;
        ~Closer() { ::close(fd); }
    } closer{fd};
    struct stat st {};
    if (::fstat(fd, &st) != 0) throw Error(path + ": cannot read: " + std::strerror(errno));
    if (S_ISDIR(st.st_mode)) throw Error(path + ": is a folder, not a YAML file");
    if (!S_ISREG(st.st_mode)) throw Error(path + ": is not a regular file");
    const auto too_large = [&](std::uint64_t size) {
        return Error(path + ": too large for a YAML file: " + std::to_string(size) + " bytes, at most " +
                     std::to_string(kMaxYamlBytes) + " are read");
    };
    if (static_cast<std::uint64_t>(st.st_size) > kMaxYamlBytes) throw too_large(static_cast<std::uint64_t>(st.st_size));
    std::string text;
    char chunk[1 << 16];
    for (;;) {
        const ssize_t n = ::read(fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw Error(path + ": cannot read: " + std::strerror(errno));
        if (n == 0) return text;
        text.append(chunk, static_cast<std::size_t>(n));
        if (text.size() > kMaxYamlBytes) throw too_large(text.size());
    }
}

}  // namespace

Value read_yaml_file(const std::string& path) { return parse_yaml(read_bounded(path), path); }

Value parse_yaml(std::string_view text, const std::string& name) {
    return parse(text, std::make_shared<const std::string>(name), false);
}

Value parse_yaml_option(std::string_view text, const Position& position) {
    if (text.size() > 65536) throw Error(position, "too long");
    return parse(text, position.file ? position.file : std::make_shared<const std::string>("option"), true);
}

}  // namespace backplane::kernel
