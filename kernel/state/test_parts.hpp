// A snapshot file taken to pieces, so that tests can put it together again wrongly, with or without sound checksums.
#pragma once

#include <string>
#include <vector>

#include "kernel/state/format.hpp"

namespace backplane::kernel::testing {

struct Part {
    format::Section header;
    std::string content;
    bool lie_about_size = false;  // header.stored_size stays as it is
};

struct Parts {
    std::vector<Part> list;  // the end section is the last
    bool repair_end = true;  // its count and checksum are made to fit

    explicit Parts(const std::string& bytes) {
        for (std::size_t at = format::kFileHeader; at < bytes.size();) {
            Part p;
            p.header.name = bytes.substr(at + 8, 16).c_str();
            p.header.flags = format::get_u32(&bytes[at + 4]);
            p.header.stored_size = format::get_u64(&bytes[at + 24]);
            p.header.raw_size = format::get_u64(&bytes[at + 32]);
            p.content = bytes.substr(at + format::kSectionHeader, p.header.stored_size);
            at += format::kSectionHeader + p.content.size();
            list.push_back(std::move(p));
        }
    }
    Part& named(const std::string& name) {
        for (Part& p : list)
            if (p.header.name == name) return p;
        throw Error("no part " + name);
    }
    // With all checksums as they should be.
    std::string bytes() const {
        std::string out = format::file_header();
        u32 headers = format::checksum_of_header(out), count = 0;
        for (const Part& p : list) {
            format::Section s = p.header;
            std::string content = p.content;
            if (s.name == format::kEnd && content.size() == 8 && repair_end) {
                format::set_u32(&content[0], count);
                format::set_u32(&content[4], headers);
            }
            if (!p.lie_about_size) {
                if (!(s.flags & format::kChunked)) s.raw_size = content.size();
                s.stored_size = content.size();
            }
            s.content_checksum = format::checksum(content);
            const std::string header = s.header();
            headers = format::checksum_of_header(header, headers);
            ++count;
            out += header + content;
        }
        return out;
    }
};

// A number or a piece of text in the content of a section.
struct Spot {
    std::size_t part = 0;
    std::size_t offset = 0;
    std::size_t size = 0;
    bool text = false;
};

// Where everything is in a sound file, by the description in docs/snapshots.md.
class Spots {
  public:
    std::vector<Spot> list;

    explicit Spots(const Parts& parts) {
        for (part_ = 0; part_ < parts.list.size(); ++part_) {
            const format::Section& s = parts.list[part_].header;
            content_ = &parts.list[part_].content;
            at_ = 0;
            if (s.name == format::kMachine) machine();
            if (s.name == format::kDevices) repeat([this] { device(); });
            if (s.name == format::kCpus) repeat([this] { texts(1), fields(); });
            if (s.name == format::kFacts) repeat([this] { texts(3), repeat([this] { texts(2); }); });
            if (s.name == format::kMemory) repeat([this] { texts(2), number(8); });
            if (s.name == format::kEnd) numbers({4, 4});
            while (s.name == format::kRam && at_ < content_->size()) {
                number(4);
                raw(number(4));
            }
            if (at_ != content_->size()) throw Error("section " + s.name + " is not what the description says");
        }
    }

  private:
    u64 number(std::size_t size) {
        list.push_back({part_, at_, size, false});
        u64 value = 0;
        for (std::size_t i = size; i-- > 0;) value = value << 8 | static_cast<u8>((*content_)[at_ + i]);
        at_ += size;
        return value;
    }
    void numbers(std::initializer_list<std::size_t> sizes) {
        for (const std::size_t size : sizes) number(size);
    }
    void raw(u64 size) {
        if (size) list.push_back({part_, at_, size, true});
        at_ += size;
    }
    void texts(int count) {
        while (count--) raw(number(4));
    }
    template <class Item>
    u64 repeat(Item item) {
        const u64 count = number(4);
        for (u64 left = count; left; --left) item();
        return count;
    }
    void machine() {
        texts(1), numbers({4, 4}), texts(2), numbers({1, 8, 8, 8, 8, 8});
        const u64 cpus = repeat([this] { number(8); });
        if (cpus > 1) numbers({4, 8});
    }
    void fields() {
        repeat([this] {
            texts(1), number(4);
            const u64 size = number(4);
            numbers({4, 4});
            raw(size * number(8));
        });
    }
    void device() {
        texts(5), number(4);
        repeat([this] { texts(2); });
        fields();
        repeat([this] { texts(1), number(1); });
        repeat([this] { texts(1), numbers({8, 8}); });
    }

    std::size_t part_ = 0, at_ = 0;
    const std::string* content_ = nullptr;
};

}  // namespace backplane::kernel::testing
