"""Checks that only engine/src/io speaks to the operating system.

format/ and the rest of engine/ take files, threads, clocks and random bytes from engine/src/io, so that
the simulated disk of the tests sees everything and format/ can be fuzzed in memory.
"""

import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import cpp_source, tree_check

ALLOWED = "engine/src/io/"

# Without these headers most calls cannot be written at all.
HEADERS = re.compile(
    r"<(?:sys/.*|linux/.*|asm/.*|net/.*|netinet/.*|arpa/.*|unistd\.h|fcntl\.h|dirent\.h|sched\.h|poll\.h"
    r"|signal\.h|csignal|pthread\.h|aio\.h|dlfcn\.h|liburing.*|seccomp.*|fstream|filesystem|iostream"
    r"|random|future|stop_token|time\.h|ctime|stdio\.h|mimalloc.*)>"
)

# Names that nothing else has, called as functions (but not as members).
CALLS = """
    openat pread pwrite preadv pwritev preadv2 pwritev2 readv writev lseek
    fsync fdatasync sync_file_range syncfs ftruncate fallocate posix_fallocate posix_fadvise
    unlinkat renameat renameat2 linkat mkdirat rmdir opendir readdir
    fstat fstatat lstat statx statvfs fstatvfs fcntl ioctl memfd_create copy_file_range sendfile
    mmap munmap mremap mprotect madvise posix_madvise process_madvise mincore msync mlock munlock cachestat
    syscall membarrier futex io_uring_setup io_uring_enter io_uring_register
    socketpair recvmsg sendmsg recvfrom sendto epoll_create1 epoll_wait eventfd
    fork vfork execve execvp posix_spawn waitpid getpid gettid sysconf getrlimit setrlimit getauxval
    sigaction sigprocmask pthread_create pthread_kill sched_yield sched_setaffinity sched_getaffinity
    nanosleep usleep clock_gettime clock_nanosleep gettimeofday getrandom getentropy
    fopen fdopen freopen fread fwrite fclose fflush fprintf printf puts fputs perror tmpfile mkstemp mkdtemp
    srand rand_r drand48 getenv secure_getenv setenv
""".split()
# Names that our own classes use for members too: forbidden when called as ::name or std::name.
QUALIFIED = """
    open read write close stat rename link remove dup pipe socket bind listen accept connect send recv shutdown
    select poll signal raise kill time clock rand system sleep pause access chmod
    truncate unlink symlink mkdir flock
""".split()
TOKENS = r"""
    std::thread \b(?!::id) | std::jthread | std::async \b | this_thread::(?:sleep|yield)
    | \b(?:system|steady|high_resolution|utc|file)_clock::now | \b(?:system|steady|high_resolution)_clock\b
    | \brandom_device | \bmt19937 | \brdtscp?\b | __rdtsc
    | \bstd::(?:basic_)?[iof]*fstream | std::filesystem | std::c(?:out|err|log|in)\b
    | \b(?:stdout|stderr|stdin)\b
"""
FORBIDDEN = re.compile(
    rf"(?<![\w.>:])(?:::|std::)?(?:{'|'.join(CALLS)})\s*\("
    rf"|(?<![\w>])(?:std)?::(?:{'|'.join(QUALIFIED)})\s*\("
    rf"|{TOKENS}",
    re.VERBOSE,
)


def check(root):
    return cpp_source.library_findings(root, ALLOWED, HEADERS, FORBIDDEN, f"only {ALLOWED} speaks to the system")


GOOD = {
    "engine/src/io/file.cc": "#include <unistd.h>\nint f() { return ::fsync(3); }\n",
    "format/src/bytes.cc": '// mmap( in a comment\nauto s = "fopen(x)"; auto n = reader.read(); auto k = 1\'000;\n',
    "engine/src/store/store.cc": "#include <chrono>\nResult<void> Log::write(int n) { return file.read(n); }\n"
                                 "void File::read(int); std::chrono::seconds time(int); int my_mmap(int);\n",
}
LINE = "void f() {\n  %s;\n}\n"
BAD = [({"engine/src/store/store.cc": LINE % code}, f"engine/src/store/store.cc:2: '{token}")
       for code, token in [
           ("::mmap(nullptr, n, 0, 0, fd, 0)", "::mmap("),
           ("auto n = pread(fd, p, 1, 0)", "pread("),
           ("auto n = ::read(fd, p, 1)", "::read("),
           ("std::thread worker", "std::thread"),
           ("auto t = std::chrono::steady_clock::now()", "steady_clock::now"),
           ("std::random_device device", "random_device"),
           ("int r = std::rand()", "std::rand("),
           ("std::this_thread::sleep_for(1s)", "this_thread::sleep"),
           ("FILE* f = std::fopen(name, mode)", "std::fopen("),
           ("std::ifstream in(name)", "std::ifstream"),
           ("std::cerr << 1", "std::cerr"),
           ("char c = '\"'; ::close(fd); char d = '\"'", "::close("),
       ]] + [
    ({"format/src/bytes.cc": "#include <sys/mman.h>\n"}, "format/src/bytes.cc:1: includes <sys/mman.h>"),
    ({"engine/include/vectolith/store.h": "/* one\n two */ #include <x>\nint t = std::time(0);\n"},
     "engine/include/vectolith/store.h:3: 'std::time("),
]

if __name__ == "__main__":
    tree_check.main(check, GOOD, BAD)
