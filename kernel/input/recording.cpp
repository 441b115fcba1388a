#include "kernel/input/recording.hpp"

#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "kernel/config/error.hpp"

namespace backplane::kernel {

namespace {

constexpr std::string_view kMagic = "BPINPUT\n";
constexpr u32 kVersion = 1;
constexpr std::size_t kMaxHeader = 4u << 20;
constexpr std::size_t kMaxParts = 16384;
constexpr std::size_t kStampBytes = 24;
constexpr std::size_t kMaxEndText = 4096;
enum : u32 { kChannel = 1, kInput = 2, kEnd = 3 };

void put(std::string& out, u64 value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}
void put(std::string& out, const InputStamp& at) {
    put(out, at.instructions, 8), put(out, at.timers, 8), put(out, static_cast<u64>(at.time), 8);
}
void put_text(std::string& out, std::string_view text) {
    text = text.substr(0, kMaxRecordedName);
    put(out, text.size(), 2);
    out += text;
}

std::string number(u64 value) { return std::to_string(value); }

}  // namespace

std::string InputStamp::text() const {
    char line[128];
    std::snprintf(line, sizeof line, "instruction %llu, timer %llu, %lld.%09lld s",
                  static_cast<unsigned long long>(instructions), static_cast<unsigned long long>(timers),
                  static_cast<long long>(time / 1'000'000'000), static_cast<long long>(time % 1'000'000'000));
    return line;
}

std::string MachineIdentity::difference(const MachineIdentity& other) const {
    if (board != other.board) return "it was recorded on the board " + other.board + ", this one is " + board;
    const auto find = [](const MachineIdentity& m, const std::string& name) -> const Part* {
        for (const Part& p : m.parts)
            if (p.name == name) return &p;
        return nullptr;
    };
    std::string different;
    const auto add = [&](const std::string& text) { different += (different.empty() ? "" : ", ") + text; };
    for (const Part& p : other.parts) {
        const Part* here = find(*this, p.name);
        if (!here)
            add(p.name + " (not here)");
        else if (here->digest != p.digest)
            add(p.name);
    }
    for (const Part& p : parts)
        if (!find(other, p.name)) add(p.name + " (not there)");
    return different.empty() ? "" : "it was recorded on another machine, with a difference in: " + different;
}

// --- Writing ---------------------------------------------------------------------------------------------------------

std::string RecordingWriter::header(const MachineIdentity& machine) {
    std::string body;
    put_text(body, machine.board);
    put(body, machine.parts.size(), 4);
    for (const MachineIdentity::Part& p : machine.parts) put_text(body, p.name), put(body, p.digest, 8);
    std::string out(kMagic);
    put(out, kVersion, 4);
    put(out, body.size(), 4);
    out += body;
    checksum_ = ::XXH64(out.data(), out.size(), 0);
    put(out, checksum_, 8);
    return out;
}

std::string RecordingWriter::sealed(u32 kind, std::string_view body) {
    std::string out;
    put(out, kind, 4);
    put(out, body.size(), 4);
    out += body;
    checksum_ = ::XXH64(out.data(), out.size(), checksum_);
    put(out, checksum_, 8);
    return out;
}

std::string RecordingWriter::channel(u32 number, std::string_view name) {
    std::string body;
    put(body, number, 4);
    body += name.substr(0, kMaxRecordedName);
    return sealed(kChannel, body);
}

std::string RecordingWriter::input(const InputStamp& at, u32 channel, std::span<const u8> bytes) {
    std::string body;
    put(body, at);
    put(body, channel, 4);
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return sealed(kInput, body);
}

std::string RecordingWriter::end(const InputEnd& end) {
    std::string body;
    put(body, end.at);
    put(body, end.reason, 4);
    put(body, static_cast<u32>(end.code), 4);
    body += std::string_view(end.text).substr(0, kMaxEndText);
    return sealed(kEnd, body);
}

// --- Reading ---------------------------------------------------------------------------------------------------------

// Nothing in the file is believed before it was checked: every length is held against what is left.
class RecordingParser {
  public:
    RecordingParser(std::vector<u8> file, const std::string& name) : name_(name) { result_.file_ = std::move(file); }

    Recording run() {
        header();
        while (event()) {}
        return std::move(result_);
    }

  private:
    // A body's bytes, taken from the front.
    struct Body {
        std::span<const u8> left;
        const RecordingParser& parser;

        u64 take(unsigned bytes) {
            if (left.size() < bytes) parser.damaged("a value is cut off");
            u64 value = 0;
            for (unsigned i = 0; i < bytes; ++i) value |= u64{left[i]} << (8 * i);
            left = left.subspan(bytes);
            return value;
        }
        InputStamp stamp() {
            InputStamp at;
            at.instructions = take(8), at.timers = take(8), at.time = static_cast<i64>(take(8));
            return at;
        }
        std::string text(std::size_t size) {
            if (left.size() < size) parser.damaged("a text is cut off");
            std::string out(reinterpret_cast<const char*>(left.data()), size);
            left = left.subspan(size);
            return out;
        }
        std::string rest() { return text(left.size()); }
        // A name may end up on a terminal.
        std::string name(std::size_t size) {
            std::string out = text(size);
            for (char& c : out)
                if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
            return out;
        }
    };

    [[noreturn]] void fail(const std::string& text) const { throw Error(name_ + ": " + text); }
    [[noreturn]] void damaged(const std::string& text) const {
        fail("the recording is damaged at offset " + number(at_) + ": " + text);
    }
    std::size_t left() const { return result_.file_.size() - at_; }
    u64 peek(std::size_t offset, unsigned bytes) const {
        u64 value = 0;
        for (unsigned i = 0; i < bytes; ++i) value |= u64{result_.file_[at_ + offset + i]} << (8 * i);
        return value;
    }

    // The body behind `before` bytes of its head, whose checksum is right.
    Body checked(std::size_t before, std::size_t size) {
        const u8* start = result_.file_.data() + at_;
        const u64 checksum = ::XXH64(start, before + size, checksum_);
        if (checksum != peek(before + size, 8)) damaged("the checksum is wrong");
        checksum_ = checksum;
        return {std::span<const u8>(start + before, size), *this};
    }

    void header() {
        const std::size_t head = kMagic.size() + 8;
        if (left() < head || std::memcmp(result_.file_.data(), kMagic.data(), kMagic.size()) != 0)
            fail("is no recording of input");
        if (const u64 version = peek(kMagic.size(), 4); version != kVersion)
            fail("a recording of version " + number(version) + "; this program reads version " + number(kVersion));
        const u64 size = peek(kMagic.size() + 4, 4);
        if (size > kMaxHeader) damaged("a header of " + number(size) + " bytes");
        if (left() < head + size + 8) damaged("the header is cut off");
        Body body = checked(head, size);
        result_.machine.board = body.name(body.take(2));
        const u64 parts = body.take(4);
        if (parts > kMaxParts) damaged(number(parts) + " parts");
        for (u64 i = 0; i < parts; ++i) {
            std::string name = body.name(body.take(2));
            const u64 digest = body.take(8);
            result_.machine.parts.push_back({std::move(name), digest});
        }
        if (!body.left.empty()) damaged("bytes behind the header's last part");
        at_ += head + size + 8;
    }

    bool event() {
        if (left() < 8) return false;
        const u64 kind = peek(0, 4), size = peek(4, 4);
        if (size > kStampBytes + 8 + kMaxEventBytes) damaged("an event of " + number(size) + " bytes");
        if (left() < 8 + size + 8) return false;
        Body body = checked(8, size);
        if (result_.end) damaged("an event behind the end");
        switch (kind) {
            case kChannel: channel(body); break;
            case kInput: input(body); break;
            case kEnd: end(body); break;
            default: damaged("an event of unknown kind " + number(kind));
        }
        at_ += 8 + size + 8;
        return true;
    }

    void channel(Body& body) {
        if (body.take(4) != result_.channels.size()) damaged("channels are not in order");
        if (result_.channels.size() == kMaxChannels) damaged("too many channels");
        result_.channels.push_back(body.name(body.left.size()));
    }
    InputStamp stamp(Body& body) {
        const InputStamp at = body.stamp();
        if (at.instructions < last_.instructions || at.timers < last_.timers || at.time < last_.time)
            damaged("an event lies before the one that precedes it");
        return last_ = at;
    }
    void input(Body& body) {
        InputEvent event;
        event.at = stamp(body);
        event.channel = static_cast<u32>(body.take(4));
        if (event.channel >= result_.channels.size())
            damaged("channel " + number(event.channel) + " was not introduced");
        event.bytes = body.left;
        result_.events.push_back(event);
    }
    void end(Body& body) {
        InputEnd end;
        end.at = stamp(body);
        end.reason = static_cast<u32>(body.take(4));
        end.code = static_cast<i32>(body.take(4));
        end.text = body.rest();
        result_.end = std::move(end);
    }

    const std::string& name_;
    Recording result_;
    std::size_t at_ = 0;
    u64 checksum_ = 0;
    InputStamp last_;
};

Recording Recording::parse(std::vector<u8> file, const std::string& name) {
    return RecordingParser(std::move(file), name).run();
}

Recording Recording::read(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(path.c_str(), "rbe"), std::fclose);
    if (!in) throw Error(path + ": cannot be read: " + std::strerror(errno));
    std::vector<u8> file;
    u8 buffer[64 << 10];
    while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, in.get())) {
        file.insert(file.end(), buffer, buffer + n);
        if (file.size() > kMaxRecording) throw Error(path + ": too large for a recording of input");
    }
    if (std::ferror(in.get())) throw Error(path + ": cannot be read: " + std::strerror(errno));
    return parse(std::move(file), path);
}

}  // namespace backplane::kernel
