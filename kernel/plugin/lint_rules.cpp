#include "kernel/plugin/lint_rules.hpp"

#include <algorithm>
#include <array>

namespace backplane::kernel {

namespace {

constexpr u32 kHostKinds = kKindBackend | kKindFrontend;

constexpr ImportGroup kFiles{"opens or changes host files", "", 0, kNeedFiles};
constexpr ImportGroup kNetwork{"talks to the network or to sockets", "", 0, kNeedNetwork};
constexpr ImportGroup kThreads{"starts or steers threads", "timers run on the virtual clock", 0, kNeedThreads};
constexpr ImportGroup kWaits{"waits for the host or for another thread, and the machine waits with it",
                             "timers run on the virtual clock", 0, kNeedAny};
constexpr ImportGroup kDescriptors{"works on descriptors of host files", "", 0, kNeedAny};
constexpr ImportGroup kSystemCalls{"makes system calls that cannot be told apart", "", 0, kNeedAny};
constexpr ImportGroup kTime{"reads the host's clock or time zone, so two runs differ",
                            "now(), timers and bp.clock/1 have the machine's time", kHostKinds, 0};
constexpr ImportGroup kRandom{"takes random numbers from the host, so two runs differ", "bp.machine/1 has random()",
                              kHostKinds, 0};
constexpr ImportGroup kEnvironment{"depends on the host's environment", "what a user may choose is a property",
                                   kHostKinds, 0};
constexpr ImportGroup kMemory{"maps host memory", "bp.ram/1 has memory of the guest, the heap the rest",
                              kHostKinds | kKindEngine, 0};
constexpr ImportGroup kTerminal{"uses the terminal and standard streams, which belong to the program",
                                "log_info() and its relatives, and trace points, tell what happens", kKindFrontend, 0};
constexpr ImportGroup kLoading{"loads more code, which nobody has looked at", "link it", kKindFrontend, 0};
constexpr ImportGroup kSignals{"installs handlers of signals, which belong to the program", "", kKindEngine, 0};
constexpr ImportGroup kPrograms{"starts other programs", "", 0, 0};
constexpr ImportGroup kEnds{"ends the whole process, which no guest may ever bring about",
                            "fail() refuses a start, log_guest() names an odd guest, request() stops a machine", 0, 0};
constexpr ImportGroup kProcess{"changes something of the whole process", "", 0, 0};
constexpr ImportGroup kPins{
    "keeps the library in memory for ever (a thread_local with a destructor): it could be neither "
    "unloaded nor reloaded",
    "make it a member of the device", 0, 0};
constexpr ImportGroup kOutlives{"registers a function that would be called when the library is gone",
                                "stop() and the destructor are called in time", 0, 0};

// Names separated by blanks. One that ends in * stands for all that begin so.
struct Names {
    const ImportGroup* group;
    std::string_view names;
};
constexpr Names kNames[] = {
    {&kFiles,
     "open openat creat fopen freopen fdopen opendir fdopendir readdir readdir_r scandir scandirat ftw nftw fts_open "
     "glob "
     "wordexp stat lstat fstatat statx __xstat __lxstat __fxstatat statfs statvfs access eaccess faccessat readlink "
     "readlinkat realpath canonicalize_file_name unlink unlinkat remove rename renameat renameat2 mkdir mkdirat rmdir "
     "mknod mknodat __xmknod mkfifo mkfifoat link linkat symlink symlinkat truncate chmod fchmodat chown lchown "
     "fchownat utime utimes utimensat futimesat mkstemp mkostemp mkstemps mkostemps mkdtemp mktemp tmpfile tmpnam "
     "tempnam posix_openpt openpty forkpty shm_open shm_unlink sem_open sem_unlink mq_open mq_unlink msgget semget "
     "shmget "
     "inotify_init inotify_init1 fanotify_init name_to_handle_at open_by_handle_at setmntent getmntent __open_2 "
     "__open64_2 __openat_2 __openat64_2 io_uring_queue_init*"},
    {&kNetwork,
     "socket socketpair bind listen connect getaddrinfo getnameinfo gethostbyname gethostbyname2 gethostbyname_r "
     "gethostbyaddr gethostbyaddr_r getservbyname getifaddrs if_nametoindex if_indextoname if_nameindex res_init "
     "res_query __res_query res_search rcmd"},
    {&kThreads,
     "pthread_create pthread_detach pthread_join pthread_cancel pthread_kill pthread_sigmask pthread_setname_np "
     "pthread_setaffinity_np pthread_setschedparam thrd_create thrd_join sched_setaffinity sched_setscheduler tgkill "
     "timer_create aio_read aio_write lio_listio getaddrinfo_a GOMP_parallel"},
    {&kWaits,
     "sleep usleep nanosleep clock_nanosleep pause poll ppoll select pselect epoll_create epoll_create1 epoll_wait "
     "epoll_pwait eventfd timerfd_create timerfd_settime signalfd pipe pipe2 wait waitpid waitid sigwait sigwaitinfo "
     "sigtimedwait sem_wait sem_timedwait sem_clockwait pthread_cond_wait pthread_cond_timedwait "
     "pthread_cond_clockwait pthread_barrier_wait cnd_wait cnd_timedwait thrd_sleep"},
    {&kDescriptors,
     "read write pread pwrite readv writev preadv pwritev close close_range closefrom lseek dup dup2 dup3 ioctl fcntl "
     "flock lockf fsync fdatasync sync syncfs sync_file_range ftruncate fallocate posix_fallocate posix_fadvise fstat "
     "__fxstat fstatfs fstatvfs fchmod fchown futimens sendfile splice tee vmsplice copy_file_range accept accept4 "
     "send "
     "sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg shutdown getsockopt setsockopt getsockname getpeername "
     "tcgetattr tcsetattr tcdrain tcflush tcflow tcsendbreak cfmakeraw grantpt unlockpt ptsname ptsname_r isatty "
     "ttyname ttyname_r inotify_add_watch inotify_rm_watch fclose fread fgets getline getdelim fgetc getc"},
    {&kSystemCalls, "syscall"},
    {&kTime,
     "clock_gettime clock_getres clock_settime gettimeofday settimeofday time clock times ftime timespec_get localtime "
     "localtime_r mktime tzset strftime ctime ctime_r getrusage adjtimex"},
    {&kRandom,
     "getrandom getentropy arc4random arc4random_buf arc4random_uniform rand srand random srandom initstate setstate "
     "drand48 erand48 lrand48 nrand48 mrand48 jrand48 srand48 seed48 lcong48 random_r rand_r"},
    {&kEnvironment,
     "getenv secure_getenv environ __environ _environ uname gethostname getdomainname getpid getppid getuid "
     "geteuid "
     "getgid getegid getlogin getlogin_r getpwnam getpwnam_r getpwuid getpwuid_r getgrnam getgrgid getauxval sysconf "
     "get_nprocs get_nprocs_conf sched_getcpu getcpu sysinfo getcwd get_current_dir_name confstr pathconf getloadavg "
     "program_invocation_name program_invocation_short_name __progname"},
    {&kMemory,
     "mmap munmap mprotect pkey_mprotect mremap madvise mlock mlock2 munlock mlockall memfd_create shmat shmdt "
     "remap_file_pages mincore msync userfaultfd"},
    {&kTerminal,
     "printf vprintf puts putchar putchar_unlocked perror psignal gets getchar scanf vscanf __isoc99_scanf "
     "__isoc23_scanf stdin stdout stderr getpass readline initscr syslog openlog vsyslog warn warnx err errx"},
    {&kLoading, "dlopen dlmopen"},
    {&kSignals,
     "signal bsd_signal sysv_signal __sysv_signal sigaction sigaltstack sigset siginterrupt sigprocmask setitimer "
     "alarm ualarm"},
    {&kPrograms,
     "system popen fork vfork _Fork clone daemon execl execlp execle execv execvp execvpe execve execveat fexecve "
     "posix_spawn posix_spawnp"},
    {&kEnds, "abort exit _exit _Exit quick_exit raise kill killpg gsignal __assert __assert_fail __assert_perror_fail"},
    {&kProcess,
     "setenv unsetenv putenv clearenv chdir fchdir chroot pivot_root umask nice setpriority setrlimit prlimit setuid "
     "setgid seteuid setegid setreuid setregid setresuid setresgid setgroups initgroups setsid setpgid setpgrp prctl "
     "arch_prctl personality ptrace mount umount umount2 unshare setns reboot sethostname seccomp capset setlocale "
     "uselocale mallopt pthread_atfork"},
    {&kPins, "__cxa_thread_atexit __cxa_thread_atexit_impl"},
    {&kOutlives, "on_exit at_quick_exit"},
};

// The C++ library's names, by their mangled beginnings.
struct CppName {
    std::string_view mangled, readable;
    const ImportGroup* group;
};
constexpr CppName kCppNames[] = {
    {"_ZNSt10filesystem", "std::filesystem", &kFiles},
    {"_ZNKSt10filesystem", "std::filesystem", &kFiles},
    {"_ZNSt13basic_filebuf", "std::filebuf", &kFiles},
    {"_ZNSt14basic_ifstream", "std::ifstream", &kFiles},
    {"_ZNSt14basic_ofstream", "std::ofstream", &kFiles},
    {"_ZNSt13basic_fstream", "std::fstream", &kFiles},
    {"_ZTVSt13basic_filebuf", "std::filebuf", &kFiles},
    {"_ZTVSt14basic_ifstream", "std::ifstream", &kFiles},
    {"_ZTVSt14basic_ofstream", "std::ofstream", &kFiles},
    {"_ZTVSt13basic_fstream", "std::fstream", &kFiles},
    {"_ZNSt6thread", "std::thread", &kThreads},
    {"_ZNSt13__future_base", "std::future", &kThreads},
    {"_ZNSt17__basic_future", "std::future", &kThreads},
    {"_ZNSt28__atomic_futex_unsigned_base", "std::future", &kThreads},
    {"_ZNSt18condition_variable4wait", "std::condition_variable::wait", &kWaits},
    {"_ZNSt3_V222condition_variable_any", "std::condition_variable_any", &kWaits},
    {"_ZNSt11this_thread11__sleep_for", "std::this_thread::sleep_for", &kWaits},
    {"_ZNSt6chrono3_V212system_clock3now", "std::chrono::system_clock::now", &kTime},
    {"_ZNSt6chrono3_V212steady_clock3now", "std::chrono::steady_clock::now", &kTime},
    {"_ZNSt13random_device", "std::random_device", &kRandom},
    {"_ZSt3cin", "std::cin", &kTerminal},
    {"_ZSt4cout", "std::cout", &kTerminal},
    {"_ZSt4cerr", "std::cerr", &kTerminal},
    {"_ZSt4clog", "std::clog", &kTerminal},
    {"_ZSt4wcin", "std::wcin", &kTerminal},
    {"_ZSt5wcout", "std::wcout", &kTerminal},
    {"_ZSt5wcerr", "std::wcerr", &kTerminal},
    {"_ZNSt6locale6global", "std::locale::global", &kProcess},
    {"_ZSt13set_terminate", "std::set_terminate", &kProcess},
    {"_ZSt15set_new_handler", "std::set_new_handler", &kProcess},
};

bool lists(std::string_view names, std::string_view wanted) {
    while (!names.empty()) {
        const auto blank = std::min(names.find(' '), names.size());
        std::string_view name = names.substr(0, blank);
        names.remove_prefix(std::min(blank + 1, names.size()));
        if (name.ends_with('*') ? wanted.starts_with(name.substr(0, name.size() - 1)) : wanted == name) return true;
    }
    return false;
}

const ImportGroup* find_c(std::string_view name) {
    for (const Names& n : kNames)
        if (lists(n.names, name)) return n.group;
    return nullptr;
}

std::string needs_of(u32 needs) {
    std::string out;
    for (const auto& [bit, name] :
         {std::pair{kNeedFiles, "files"}, {kNeedNetwork, "network"}, {kNeedThreads, "threads"}})
        if (needs & bit) out += (out.empty() ? "`" : " or `") + std::string(name) + "`";
    return out;
}

}  // namespace

u32 kind_bit(std::string_view kind) {
    return kind == "device"    ? kKindDevice
           : kind == "backend" ? kKindBackend
           : kind == "engine"  ? kKindEngine
                               : kKindFrontend;
}

u32 need_bit(std::string_view need) {
    return need == "files" ? kNeedFiles : need == "network" ? kNeedNetwork : need == "threads" ? kNeedThreads : 0;
}

std::optional<ImportMatch> match_import(std::string_view symbol) {
    if (symbol.starts_with("_Z")) {
        for (const CppName& n : kCppNames)
            if (symbol.starts_with(n.mangled)) return ImportMatch{n.group, n.readable};
        return std::nullopt;
    }
    if (const ImportGroup* group = find_c(symbol)) return ImportMatch{group, {}};
    // The checked variant of a function, and the one for large files.
    if (symbol.starts_with("__") && symbol.ends_with("_chk") && symbol.size() > 6)
        symbol = symbol.substr(2, symbol.size() - 6);
    if (symbol.ends_with("64")) symbol.remove_suffix(2);
    if (const ImportGroup* group = find_c(symbol)) return ImportMatch{group, {}};
    return std::nullopt;
}

bool allowed(const ImportGroup& group, u32 kind, u32 needs) {
    return (group.kinds & kind) || (kind != kKindDevice && (group.needs & needs));
}

std::string objection(const ImportGroup& group, const Manifest& manifest) {
    std::string text(group.does);
    if (group.needs && manifest.kind == "device")
        text += "; a device reaches the host only through its slot: that belongs into a back end";
    else if (group.needs)
        text += "; the plugin does not say that it needs " + needs_of(group.needs);
    if (!group.instead.empty()) text += "; " + std::string(group.instead);
    return text;
}

LibraryVerdict judge_library(std::string_view name) {
    static constexpr std::array kRuntime = {
        "libc.so",  "libm.so",  "libstdc++.so", "libgcc_s.so",  "ld-linux-x86-64.so", "libpthread.so",
        "librt.so", "libdl.so", "libc++.so",    "libc++abi.so", "libatomic.so"};
    static constexpr std::array kSanitizers = {"libasan.so", "libubsan.so", "libtsan.so", "liblsan.so"};
    static constexpr std::array kKernels = {"libboost_", "libyaml-cpp", "libspdlog", "libfmt."};
    const auto begins = [name](std::string_view beginning) { return name.starts_with(beginning); };
    if (std::any_of(kRuntime.begin(), kRuntime.end(), begins)) return LibraryVerdict::kRuntime;
    if (std::any_of(kSanitizers.begin(), kSanitizers.end(), begins)) return LibraryVerdict::kSanitizer;
    if (std::any_of(kKernels.begin(), kKernels.end(), begins)) return LibraryVerdict::kKernels;
    return LibraryVerdict::kOther;
}

}  // namespace backplane::kernel
