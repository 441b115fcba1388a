// Reads and verifies a snapshot file. The file is not trusted: every size is held against what is left of the file and
// against a limit before it is used, and nothing is read again after it was checked.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "kernel/config/convert.hpp"
#include "kernel/state/format.hpp"
#include "kernel/state/text.hpp"

namespace backplane::kernel {

namespace {

using namespace format;

// The bytes of the file, read once and in order, only as far as what came before was found to be sound: a huge file
// that is no snapshot costs nothing.
class Input {
  public:
    explicit Input(const std::string& path) : name_(path) {
        fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd_ < 0) throw Error(path + ": " + std::strerror(errno));
        struct stat st {};
        const bool known = ::fstat(fd_, &st) == 0;
        if (!known || !S_ISREG(st.st_mode)) {
            ::close(fd_);
            throw Error(path + ": not a file");
        }
        size_ = static_cast<u64>(st.st_size);
        void* map =
            size_ ? ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                  : nullptr;
        if (map == MAP_FAILED) {
            ::close(fd_);
            throw Error(path + ": too large: " + std::strerror(errno));
        }
        map_ = static_cast<char*>(map);
    }
    Input(std::string bytes, const std::string& name)
        : name_(name), bytes_(std::move(bytes)), size_(bytes_.size()), have_(size_) {}
    ~Input() {
        if (fd_ >= 0) ::close(fd_);
        if (map_) ::munmap(map_, size_);
    }
    Input(const Input&) = delete;
    Input& operator=(const Input&) = delete;

    const std::string& name() const { return name_; }
    u64 size() const { return size_; }
    u64 left(u64 offset) const { return size_ - offset; }
    // The caller has made sure that the range lies in the file.
    std::string_view view(u64 offset, u64 size) {
        need(offset + size);
        return {data() + offset, size};
    }
    std::string_view known(u64 offset, u64 size) const { return {data() + offset, size}; }
    void close() { ::close(std::exchange(fd_, -1)); }

  private:
    const char* data() const { return map_ ? map_ : bytes_.data(); }
    void need(u64 end) {
        while (have_ < end) {
            const u64 step = std::max(std::min(size_ - have_, kSnapshotChunk), end - have_);
            const ssize_t done = ::pread(fd_, map_ + have_, step, static_cast<off_t>(have_));
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) throw Error(fmt::format("{}: offset 0x{:x}: {}", name_, have_, std::strerror(errno)));
            if (done == 0) fail_at(name_, have_, "the file became shorter while it was read");
            have_ += static_cast<u64>(done);
        }
    }

    std::string name_;
    int fd_ = -1;
    std::string bytes_;
    char* map_ = nullptr;
    u64 size_ = 0;
    u64 have_ = 0;
};

struct FreeContext {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
using Decompressor = std::unique_ptr<ZSTD_DCtx, FreeContext>;

}  // namespace

struct SnapshotFile::Data {
    struct Chunk {
        u32 index = 0;
        u32 size = 0;
        u64 offset = 0;  // in the file
    };
    template <class... A>
    explicit Data(A&&... arguments) : input(std::forward<A>(arguments)...) {}

    void read();
    Section read_section();
    void read_chunks(const Section& s, u64 begin, const std::string& place);
    Content content(const Section& s, u32 flags = kRequired);
    const Chunk* find(std::size_t block, u64 index) const;
    u64 chunk_size(std::size_t block, u64 index) const {
        return std::min(kSnapshotChunk, snapshot.memory[block].size - index * kSnapshotChunk);
    }
    void unpack(ZSTD_DCtx* context, const Chunk& chunk, u64 size, u8* into) const {
        ZSTD_decompressDCtx(context, into, size, input.known(chunk.offset, chunk.size).data(), chunk.size);
    }

    Input input;
    Snapshot snapshot;
    std::vector<std::vector<Chunk>> ram;  // by block, in ascending order

    u64 at = 0;       // while reading: the next byte
    u32 headers = 0;  // checksum over the headers
    std::string buffer;
    Decompressor decompressor;
};

// The header of the next section; its content begins at `at` and lies in the file.
Section SnapshotFile::Data::read_section() {
    const u64 begin = at;
    if (input.left(at) < kSectionHeader)
        fail_at(input.name(), at, fmt::format("a section is expected, but {} bytes are left", input.left(at)));
    const std::string_view h = input.view(at, kSectionHeader);
    if (h.substr(0, 4) != kSectionMagic) fail_at(input.name(), at, "no section begins here");
    if (get_u32(&h[52]) != checksum(h.substr(0, 52)))
        fail_at(input.name(), at, "the section header does not match its checksum");
    Section s;
    s.name = h.substr(8, 16);
    s.name.resize(std::min(s.name.find('\0'), s.name.size()));
    s.flags = get_u32(&h[4]);
    s.stored_size = get_u64(&h[24]);
    s.raw_size = get_u64(&h[32]);
    s.version = get_u32(&h[40]);
    s.content_checksum = get_u32(&h[44]);
    const std::string place = fmt::format("section `{}`", printable(s.name));
    if (s.name.empty() || !is_plain_utf8(s.name)) fail_at(input.name(), begin, "the section has no proper name");
    // A canonical header: one way to write it.
    if (s.header() != h) fail_at(input.name(), begin, place + ": reserved bytes are not zero");
    if (s.flags & ~(kRequired | kChunked))
        fail_at(input.name(), begin, fmt::format("{}: flags 0x{:x} are not known", place, s.flags));
    at += kSectionHeader;
    if (s.stored_size > input.left(at))
        fail_at(input.name(), begin,
                fmt::format("{} has {} bytes, but the file ends after {}", place, s.stored_size, input.left(at)));
    return s;
}

// The content of a section that is stored as it is, checked against its checksum.
Content SnapshotFile::Data::content(const Section& s, u32 flags) {
    const std::string place = fmt::format("{}: section `{}`", input.name(), s.name);
    if (s.version != 1) fail_at(place, at, fmt::format("version {} is not known", s.version));
    if (s.flags != flags) fail_at(place, at, fmt::format("flags are 0x{:x}", s.flags));
    if (s.raw_size != s.stored_size || s.raw_size > kMaxModelSection)
        fail_at(place, at, fmt::format("sizes {} and {} are not possible", s.stored_size, s.raw_size));
    const std::string_view bytes = input.view(at, s.stored_size);
    if (checksum(bytes) != s.content_checksum) fail_at(place, at, "the content does not match its checksum");
    return {bytes, place, at};
}

void SnapshotFile::Data::read_chunks(const Section& s, u64 begin, const std::string& place) {
    const u64 size = snapshot.memory[ram.size()].size;
    if (s.version != 1) fail_at(place, begin, fmt::format("version {} is not known", s.version));
    if (s.flags != (kRequired | kChunked)) fail_at(place, begin, fmt::format("flags are 0x{:x}", s.flags));
    if (s.raw_size != size) fail_at(place, begin, fmt::format("{} bytes, but the block has {}", s.raw_size, size));
    const u64 end = begin + s.stored_size;
    std::vector<Chunk> chunks;
    u64 next = 0;  // the least index that may follow
    for (u64 offset = begin; offset < end;) {
        if (end - offset < kChunkHeader) fail_at(place, offset, "the section ends within a piece");
        const std::string_view h = input.view(offset, kChunkHeader);
        const Chunk chunk{get_u32(&h[0]), get_u32(&h[4]), offset + kChunkHeader};
        if (chunk.index < next || u64{chunk.index} * kSnapshotChunk >= size)
            fail_at(place, offset, fmt::format("piece {} is out of order or beyond the block", chunk.index));
        const u64 raw = std::min(kSnapshotChunk, size - u64{chunk.index} * kSnapshotChunk);
        if (chunk.size > end - chunk.offset || chunk.size > ZSTD_compressBound(kSnapshotChunk))
            fail_at(place, offset, fmt::format("piece {} cannot have {} bytes", chunk.index, chunk.size));
        const std::string_view bytes = input.view(chunk.offset, chunk.size);
        // One frame that names its size; then memory is never needed for more than one piece.
        if (ZSTD_findFrameCompressedSize(bytes.data(), bytes.size()) != bytes.size() ||
            ZSTD_getFrameContentSize(bytes.data(), bytes.size()) != raw)
            fail_at(place, offset, fmt::format("piece {} is not compressed memory of {} bytes", chunk.index, raw));
        const std::size_t got = ZSTD_decompressDCtx(decompressor.get(), buffer.data(), raw, bytes.data(), bytes.size());
        if (ZSTD_isError(got) || got != raw)
            fail_at(place, offset,
                    fmt::format("piece {} cannot be unpacked: {}", chunk.index,
                                ZSTD_isError(got) ? ZSTD_getErrorName(got) : "its size is wrong"));
        chunks.push_back(chunk);
        next = u64{chunk.index} + 1;
        offset = chunk.offset + chunk.size;
    }
    if (checksum(input.view(begin, s.stored_size)) != s.content_checksum)
        fail_at(place, begin, "the content does not match its checksum");
    ram.push_back(std::move(chunks));
}

void SnapshotFile::Data::read() {
    if (input.size() < kFileHeader || input.view(0, 8) != kSnapshotMagic)
        throw Error(input.name() + ": not a snapshot");
    const std::string_view header = input.view(0, kFileHeader);
    if (get_u32(&header[12]) != checksum(header.substr(0, 12)))
        fail_at(input.name(), 0, "the file header does not match its checksum");
    if (const u32 version = get_u32(&header[8]); version != kVersion)
        fail_at(input.name(), 8, fmt::format("format version {}, but this program reads {}", version, kVersion));
    headers = checksum_of_header(header);
    at = kFileHeader;

    using Decode = void (*)(const Content&, Snapshot&);
    struct Known {
        std::string_view name;
        Decode decode;
    };
    constexpr Known kModel[] = {
        {kMachine, decode_machine}, {kDevices, decode_devices}, {kFacts, decode_facts}, {kMemory, decode_memory}};
    buffer.resize(kSnapshotChunk);
    decompressor.reset(ZSTD_createDCtx());
    std::size_t model = 0;  // how many of them have been read
    bool cpus = false;
    for (u32 sections = 0;; ++sections) {
        const u64 begin = at;
        const Section s = read_section();
        const bool complete = model == std::size(kModel) && ram.size() == snapshot.memory.size();
        const std::string_view expected = model < std::size(kModel) ? kModel[model].name : complete ? kEnd : kRam;
        const bool known =
            s.name == kRam || s.name == kEnd ||
            std::any_of(std::begin(kModel), std::end(kModel), [&](const Known& k) { return k.name == s.name; });
        if (known && s.name != expected)
            fail_at(input.name(), begin, fmt::format("section `{}` where `{}` is expected", s.name, expected));
        if (s.name == kEnd) {
            const Content c = content(s);
            if (c.bytes.size() != 8) fail_at(c.place, at, fmt::format("{} bytes instead of 8", c.bytes.size()));
            if (get_u32(&c.bytes[0]) != sections)
                fail_at(c.place, at, fmt::format("{} sections, but there are {}", get_u32(&c.bytes[0]), sections));
            if (get_u32(&c.bytes[4]) != headers) fail_at(c.place, at, "the sections do not match their checksum");
            at += s.stored_size;
            if (at != input.size())
                fail_at(input.name(), at, fmt::format("{} bytes follow the end", input.size() - at));
            break;
        }
        if (model < std::size(kModel) && s.name == expected) {
            kModel[model++].decode(content(s), snapshot);
        } else if (s.name == kCpus) {
            // Behind the devices, if at all.
            if (std::exchange(cpus, true) || expected != kFacts)
                fail_at(input.name(), begin, fmt::format("section `{}` where `{}` is expected", s.name, expected));
            decode_cpus(content(s, 0), snapshot);
        } else if (s.name == kRam) {
            const MemoryState& m = snapshot.memory[ram.size()];
            read_chunks(s, at, fmt::format("{}: `{}` of `{}`", input.name(), m.name, m.owner));
        } else if (s.flags & kRequired) {
            fail_at(input.name(), begin,
                    fmt::format("section `{}` is needed and not known: the file is of a later version", s.name));
        } else if (checksum(input.view(at, s.stored_size)) != s.content_checksum) {
            fail_at(input.name(), at, fmt::format("section `{}` does not match its checksum", s.name));
        }
        headers = checksum_of_header(s.header(), headers);
        at += s.stored_size;
    }
    buffer = {};
    decompressor.reset();
}

const SnapshotFile::Data::Chunk* SnapshotFile::Data::find(std::size_t block, u64 index) const {
    const std::vector<Chunk>& chunks = ram[block];
    const auto found =
        std::lower_bound(chunks.begin(), chunks.end(), index, [](const Chunk& c, u64 i) { return c.index < i; });
    return found != chunks.end() && found->index == index ? &*found : nullptr;
}

SnapshotFile::SnapshotFile(const std::string& path) : data_(std::make_unique<Data>(path)) {
    data_->read();
    data_->input.close();
}
SnapshotFile::SnapshotFile(std::string bytes, const std::string& name)
    : data_(std::make_unique<Data>(std::move(bytes), name)) {
    data_->read();
}
SnapshotFile::~SnapshotFile() = default;
SnapshotFile::SnapshotFile(SnapshotFile&&) noexcept = default;
SnapshotFile& SnapshotFile::operator=(SnapshotFile&&) noexcept = default;

const std::string& SnapshotFile::path() const { return data_->input.name(); }
u64 SnapshotFile::file_size() const { return data_->input.size(); }
const Snapshot& SnapshotFile::snapshot() const { return data_->snapshot; }

void SnapshotFile::load_memory(std::size_t index, u8* into, bool zeroed) const {
    const Decompressor context(ZSTD_createDCtx());
    const u64 size = data_->snapshot.memory[index].size;
    u64 done = 0;
    for (const Data::Chunk& chunk : data_->ram[index]) {
        const u64 begin = chunk.index * kSnapshotChunk, length = data_->chunk_size(index, chunk.index);
        if (!zeroed) std::memset(into + done, 0, begin - done);
        data_->unpack(context.get(), chunk, length, into + begin);
        done = begin + length;
    }
    if (!zeroed && size > done) std::memset(into + done, 0, size - done);
}

u64 SnapshotFile::chunk_count(std::size_t index) const {
    return (data_->snapshot.memory[index].size + kSnapshotChunk - 1) / kSnapshotChunk;
}
u64 SnapshotFile::chunk_size(std::size_t index, u64 chunk) const { return data_->chunk_size(index, chunk); }
std::string_view SnapshotFile::stored_chunk(std::size_t index, u64 chunk) const {
    const Data::Chunk* found = data_->find(index, chunk);
    return found ? data_->input.known(found->offset, found->size) : std::string_view{};
}
void SnapshotFile::load_chunk(std::size_t index, u64 chunk, u8* into) const {
    const u64 size = data_->chunk_size(index, chunk);
    const Data::Chunk* found = data_->find(index, chunk);
    if (!found) {
        std::memset(into, 0, size);
        return;
    }
    const Decompressor context(ZSTD_createDCtx());
    data_->unpack(context.get(), *found, size, into);
}

}  // namespace backplane::kernel
