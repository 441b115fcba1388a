#include "chardev/thread.hpp"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "backplane/types.hpp"

namespace backplane::chardev {

std::string Wake::open() {
    fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return fd_ ? "" : std::string("no event descriptor is to be had: ") + std::strerror(errno);
}

void Wake::ring() {
    const u64 one = 1;
    [[maybe_unused]] const ssize_t n = ::write(fd_.get(), &one, sizeof one);
}

void Wake::heard() {
    u64 count;
    [[maybe_unused]] const ssize_t n = ::read(fd_.get(), &count, sizeof count);
}

std::thread start_thread(std::function<void()> run) {
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread thread(std::move(run));
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

}  // namespace backplane::chardev
