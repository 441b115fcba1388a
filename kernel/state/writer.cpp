// Writes a snapshot file: complete under its name, or not at all.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "kernel/state/format.hpp"

namespace backplane::kernel {

namespace {

using namespace format;

// Fast, and a fixed one: equal states give equal files.
constexpr int kCompressionLevel = 1;

// A file that is not visible under its name before commit().
class Output {
  public:
    explicit Output(const std::string& path) : name_(path), path_(target(path)) {
        folder_ = std::filesystem::path(path_).parent_path().string();
        if (folder_.empty()) folder_ = ".";
        temporary_ = path_ + ".XXXXXX";
        fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);  // exclusive, for the owner alone: it holds a guest's memory
        if (fd_ < 0) fail("cannot be created");
    }
    ~Output() {
        if (fd_ >= 0) ::close(fd_);
        if (!temporary_.empty()) ::unlink(temporary_.c_str());
    }
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    u64 position() const { return position_; }
    void write(std::string_view bytes) {
        write_at(position_, bytes);
        position_ += bytes.size();
    }
    void write_at(u64 offset, std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t done = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) fail("cannot be written");
            bytes.remove_prefix(static_cast<std::size_t>(done));
            offset += static_cast<u64>(done);
        }
    }
    void commit() {
        if (::fsync(fd_) != 0) fail("cannot be written");
        const int fd = std::exchange(fd_, -1);
        if (::close(fd) != 0) fail("cannot be written");
        if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("cannot be renamed into place");
        temporary_.clear();
        const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0) return;  // a folder that may be written but not read
        ::fsync(folder);
        ::close(folder);
    }

  private:
    // Where a symbolic link leads, so that the link stays. Something other than a file is not replaced.
    static std::string target(const std::string& path) {
        struct stat st {};
        std::string result = path;
        if (::lstat(path.c_str(), &st) == 0 && S_ISLNK(st.st_mode)) {
            std::error_code error;
            result = std::filesystem::canonical(path, error).string();
            if (error) throw Error(path + ": the link leads nowhere: " + error.message(), kExitFailure);
        }
        if (::stat(result.c_str(), &st) == 0 && !S_ISREG(st.st_mode))
            throw Error(path + ": exists and is not a file", kExitFailure);
        return result;
    }
    [[noreturn]] void fail(const char* what) const {
        throw Error(fmt::format("{}: {}: {}", name_, what, std::strerror(errno)), kExitFailure);
    }

    std::string name_, path_, folder_, temporary_;
    int fd_ = -1;
    u64 position_ = 0;
};

class Writer {
  public:
    explicit Writer(Output& out) : out_(out) { put_header(file_header()); }

    void section(std::string_view name, const std::string& content, u32 flags = kRequired) {
        Section s;
        s.name = name, s.flags = flags;
        s.stored_size = s.raw_size = content.size();
        s.content_checksum = checksum(content);
        put_header(s.header());
        out_.write(content);
        ++sections_;
    }
    void ram(const u8* contents, u64 size) {
        const u64 header_at = out_.position();
        Section s;
        s.name = kRam, s.flags = kRequired | kChunked;
        s.raw_size = size;
        out_.write(s.header());
        for (u64 at = 0; at < size; at += kSnapshotChunk)
            chunk(s, static_cast<u32>(at / kSnapshotChunk), contents + at, std::min(kSnapshotChunk, size - at));
        s.stored_size = out_.position() - header_at - kSectionHeader;
        const std::string header = s.header();
        out_.write_at(header_at, header);
        headers_ = checksum_of_header(header, headers_);
        ++sections_;
    }
    void end() {
        std::string content;
        put_u32(content, sections_);
        put_u32(content, headers_);
        section(kEnd, content);
    }

  private:
    struct Free {
        void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
    };

    void put_header(const std::string& header) {
        headers_ = checksum_of_header(header, headers_);
        out_.write(header);
    }
    static bool is_zero(const u8* at, u64 size) { return at[0] == 0 && std::memcmp(at, at + 1, size - 1) == 0; }

    void chunk(Section& s, u32 index, const u8* at, u64 size) {
        if (is_zero(at, size)) return;
        buffer_.resize(kChunkHeader + ZSTD_compressBound(kSnapshotChunk));
        const std::size_t stored = ZSTD_compressCCtx(context_.get(), buffer_.data() + kChunkHeader,
                                                     buffer_.size() - kChunkHeader, at, size, kCompressionLevel);
        if (ZSTD_isError(stored))
            throw Error(std::string("memory cannot be compressed: ") + ZSTD_getErrorName(stored), kExitFailure);
        set_u32(buffer_.data(), index);
        set_u32(buffer_.data() + 4, static_cast<u32>(stored));
        const std::string_view bytes(buffer_.data(), kChunkHeader + stored);
        s.content_checksum = checksum(bytes, s.content_checksum);
        out_.write(bytes);
    }

    Output& out_;
    std::unique_ptr<ZSTD_CCtx, Free> context_{ZSTD_createCCtx()};
    std::string buffer_;
    u32 sections_ = 0;
    u32 headers_ = 0;  // checksum over the file's header and those of all sections
};

// What does not come back equal breaks a rule of the format; the reader's checks are the only ones there are.
void check(const std::string& path, const Snapshot& s, const std::string& machine, const std::string& devices,
           const std::string& cpus, const std::string& facts, const std::string& memory) {
    Snapshot back;
    const auto content = [&](std::string_view bytes, std::string_view name) {
        if (bytes.size() > kMaxModelSection)
            throw Error(fmt::format("{}: section `{}` would have {} bytes", path, name, bytes.size()), kExitFailure);
        return Content{bytes, fmt::format("{}: cannot be written: section `{}`", path, name), 0};
    };
    decode_machine(content(machine, kMachine), back);
    decode_devices(content(devices, kDevices), back);
    if (!cpus.empty()) decode_cpus(content(cpus, kCpus), back);
    decode_facts(content(facts, kFacts), back);
    decode_memory(content(memory, kMemory), back);
    if (!(back == s)) throw Error(path + ": cannot be written: a field's size differs from its value's", kExitFailure);
}

}  // namespace

void write_snapshot(const std::string& path, const Snapshot& snapshot,
                    const std::function<const u8*(std::size_t memory_index)>& contents) {
    const std::string machine = encode_machine(snapshot), devices = encode_devices(snapshot),
                      cpus = encode_cpus(snapshot), facts = encode_facts(snapshot), memory = encode_memory(snapshot);
    check(path, snapshot, machine, devices, cpus, facts, memory);
    Output out(path);
    Writer writer(out);
    writer.section(kMachine, machine);
    writer.section(kDevices, devices);
    // Older versions can do without.
    if (!cpus.empty()) writer.section(kCpus, cpus, 0);
    writer.section(kFacts, facts);
    writer.section(kMemory, memory);
    for (std::size_t i = 0; i < snapshot.memory.size(); ++i) writer.ram(contents(i), snapshot.memory[i].size);
    writer.end();
    out.commit();
}

}  // namespace backplane::kernel
