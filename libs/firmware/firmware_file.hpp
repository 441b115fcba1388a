// Reading a firmware image (system BIOS, video BIOS, option ROM) from the host, for back ends that declare the need
// "files".
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "backplane/slot.hpp"
#include "backplane/types.hpp"

namespace backplane::firmware {

// The Debian package that ships an image of this name, or "".
inline std::string_view debian_package(std::string_view name) {
    const auto slash = name.rfind('/');
    if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
    const auto starts = [name](std::string_view with) { return name.substr(0, with.size()) == with; };
    if (starts("bios") || starts("vgabios")) return "seabios";
    if (starts("pxe-") || starts("efi-")) return "ipxe-qemu";
    if (starts("linuxboot") || starts("multiboot") || starts("kvmvapic")) return "qemu-system-data";
    return {};
}

inline std::string install_hint(std::string_view name) {
    const std::string_view package = debian_package(name);
    if (package.empty()) return {};
    return "images of this kind come with the Debian package " + std::string(package) + ": apt install " +
           std::string(package);
}

// Finds and reads a whole file of 1 to `limit` bytes. On failure the slot holds the reason.
inline bp_status read(const Slot& slot, std::string_view name, u64 limit, std::vector<u8>* out) {
    const auto fail = [&](bp_status status, const std::string& text) {
        return slot.core().fail(slot.self(), status, to_bp(text));
    };
    if (!slot.files()) return fail(BP_ERR_UNSUPPORTED, "this kernel gives the plugin no access to firmware files");
    char path[4096];
    std::size_t length = 0;
    const std::string hint = install_hint(name);
    if (const bp_status s = slot.files()->find_firmware(slot.self(), to_bp(name), path, sizeof path - 1, &length)) {
        // The kernel's own text, which names the folders it searched, follows this one.
        return s == BP_ERR_NOT_FOUND && !hint.empty() ? fail(s, hint) : s;
    }
    path[length] = '\0';
    const auto host_failure = [&](int error) {
        return fail(error == ENOENT ? BP_ERR_NOT_FOUND : BP_ERR_IO,
                    std::string(path) + ": " + std::strerror(error) +
                        (error == ENOENT && !hint.empty() ? " (" + hint + ")" : ""));
    };
    struct Closer {
        int fd;
        ~Closer() {
            if (fd >= 0) ::close(fd);
        }
    } file{::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (file.fd < 0) return host_failure(errno);
    struct stat st {};
    if (::fstat(file.fd, &st) != 0) return host_failure(errno);
    if (!S_ISREG(st.st_mode)) return fail(BP_ERR_IO, std::string(path) + ": is not a regular file");
    if (st.st_size == 0) return fail(BP_ERR_INVALID, std::string(path) + ": is empty");
    if (static_cast<u64>(st.st_size) > limit)
        return fail(BP_ERR_INVALID, std::string(path) + ": has " + std::to_string(st.st_size) + " bytes; at most " +
                                        std::to_string(limit) + " are possible here");
    out->resize(static_cast<std::size_t>(st.st_size));
    for (std::size_t done = 0; done < out->size();) {
        const ssize_t n = ::read(file.fd, out->data() + done, out->size() - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return host_failure(errno);
        if (n == 0) return fail(BP_ERR_IO, std::string(path) + ": became shorter while it was read");
        done += static_cast<std::size_t>(n);
    }
    return BP_OK;
}

}  // namespace backplane::firmware
