// backplane disk info: what a disk image is, and the geometry that a guest will see.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "kernel/config/convert.hpp"
#include "kernel/config/error.hpp"
#include "libs/geometry/geometry.hpp"
#include "runner/disk_doctor.hpp"
#include "runner/options.hpp"

namespace backplane::runner {

namespace {

struct File {
    int fd;
    ~File() { ::close(fd); }
};

int info(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) throw kernel::Error(path + ": " + std::strerror(errno));
    const File file{fd};
    struct stat st {};
    if (::fstat(fd, &st) != 0) throw kernel::Error(path + ": " + std::strerror(errno));
    u64 bytes = static_cast<u64>(st.st_size);
    const char* what = "raw image";
    if (S_ISBLK(st.st_mode)) {
        what = "block device";
        if (::ioctl(fd, BLKGETSIZE64, &bytes) != 0) throw kernel::Error(path + ": " + std::strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        throw kernel::Error(path + ": not a disk image: neither a file nor a block device");
    }
    std::array<u8, 512> first{};
    const ssize_t got = ::pread(fd, first.data(), first.size(), 0);
    const auto span = std::span<const u8>(first.data(), got == 512 ? 512 : 0);
    std::printf("%s: %s, %llu bytes", path.c_str(), what, static_cast<unsigned long long>(bytes));
    if (S_ISREG(st.st_mode)) std::printf(", %llu on the host", static_cast<unsigned long long>(st.st_blocks) * 512);
    std::printf("\n");
    if (bytes % 512)
        std::printf("The last %llu bytes are no whole sector and will not be seen by a guest.\n",
                    static_cast<unsigned long long>(bytes % 512));
    if (bytes < 512) throw kernel::Error(path + ": smaller than one sector");
    geometry::Input input;
    input.sectors = bytes / 512;
    input.first_sector = span;
    std::fputs(geometry::report(geometry::resolve(input)).c_str(), stdout);
    if (got == 512 && first[510] == 0x55 && first[511] == 0xaa) {
        std::printf("partition table:\n");
        for (int i = 0; i < 4; ++i) {
            const u8* e = &first[0x1be + 16 * static_cast<std::size_t>(i)];
            const auto dword = [e](int at) {
                return u32{e[at]} | u32{e[at + 1]} << 8 | u32{e[at + 2]} << 16 | u32{e[at + 3]} << 24;
            };
            if (dword(12) == 0 && e[4] == 0) continue;
            std::printf("  %d%s type %02x  start %u, %u sectors  CHS %u/%u/%u to %u/%u/%u\n", i + 1,
                        e[0] == 0x80 ? "*" : " ", e[4], dword(8), dword(12), u32{e[3]} | (u32{e[2]} & 0xc0) << 2, e[1],
                        e[2] & 0x3fu, u32{e[7]} | (u32{e[6]} & 0xc0) << 2, e[5], e[6] & 0x3fu);
        }
    } else {
        std::printf("no partition table (no 55AA signature in the first sector)\n");
    }
    return 0;
}

}  // namespace

void add_disk(CLI::App& app, int& code) {
    CLI::App* sub = app.add_subcommand("disk", "disk images");
    sub->require_subcommand(1);
    auto path = std::make_shared<std::string>();
    CLI::App* i = sub->add_subcommand(
        "info", "size, partition table, and the geometry that a guest will see (the image is only read)");
    i->add_option("image", *path, "disk image or block device")->required();
    i->callback([path, &code] { code = info(*path); });
    add_disk_doctor(*sub, code);
    add_disk_report(*sub, code);
}

}  // namespace backplane::runner
