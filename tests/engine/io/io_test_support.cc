/// @file
/// What the tests of the I/O layer share: both backends, children, injected system calls.
#include "io_test_support.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <iostream>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "io/sanitizer.h"

namespace vectolith::engine::testing {
namespace {

/// Value of the unused sixth argument that lets a call of the signal handler through the filter.
constexpr std::uint32_t kPassThrough = 0x5e1fca11;
constexpr std::size_t kSystemCallsMax = 512;

struct InjectedCall {
  Injection injection;
  std::atomic<int> calls{0};
};
std::array<InjectedCall, kSystemCallsMax> injected;

#if defined(__x86_64__)
constexpr bool kCanInject = true;
long argument(const ucontext_t& context, int index) {
  constexpr std::array kRegisters{REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8};
  return context.uc_mcontext.gregs[kRegisters[static_cast<std::size_t>(index)]];
}
void set_result(ucontext_t& context, long result) { context.uc_mcontext.gregs[REG_RAX] = result; }
#else
constexpr bool kCanInject = false;
long argument(const ucontext_t&, int) { return 0; }
void set_result(ucontext_t&, long) {}
#endif

void on_injected_call(int /*signal*/, siginfo_t* info, void* raw_context) {
  auto& context = *static_cast<ucontext_t*>(raw_context);
  auto& call = injected.at(static_cast<std::size_t>(info->si_syscall));
  const auto turn = static_cast<std::size_t>(call.calls.fetch_add(1));
  const auto& results = call.injection.results;
  long result = turn < results.size() ? results[turn] : call.injection.afterwards;
  if (result == kPassOn) {
    const int saved_errno = errno;
    result = ::syscall(info->si_syscall, argument(context, 0), argument(context, 1), argument(context, 2),
                       argument(context, 3), argument(context, 4), long{kPassThrough});
    if (result < 0) result = -errno;
    errno = saved_errno;
  }
  set_result(context, result);
}

constexpr int kSkippedStatus = 77;

[[noreturn]] void skip_from_child(const char* reason) {
  std::cout << reason << ": errno " << errno << std::endl;
  ::_exit(kSkippedStatus);
}

/// Answers the given system calls with `action`, except where the sixth argument says "pass through".
void install_filter(const std::vector<int>& numbers, std::uint32_t action) {
  constexpr auto kSixth =
      static_cast<std::uint32_t>(offsetof(seccomp_data, args) + 5 * sizeof(std::uint64_t));
  std::vector<sock_filter> program{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kSixth),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kPassThrough, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  for (const int number : numbers) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, action));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  const bool installed = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
  if (!installed) skip_from_child("no seccomp filter can be installed");
}

}  // namespace

void BackendTest::SetUp() {
  auto environment = make_environment(GetParam());
  if (!environment.has_value() && environment.error().code() == ErrorCode::kUnsupported) {
    GTEST_SKIP() << environment.error().to_string();
  }
  environment_ = must(std::move(environment));
  directory_ = must(environment_->open_directory(scratch_.path(), false));
}

std::string backend_name(const ::testing::TestParamInfo<BackendChoice>& info) {
  return info.param == BackendChoice::kUring ? "uring" : "sync";
}

std::vector<std::byte> random_bytes(std::mt19937_64& generator, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::byte>(generator());
  return bytes;
}

void run_in_child(const std::function<void()>& body) {
  std::cout.flush();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0) << "fork: errno " << errno;
  if (child == 0) {
    body();
    std::cout.flush();
    std::fflush(nullptr);
    ::_exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkippedStatus) GTEST_SKIP() << "the child could not do it";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the child failed, wait status " << status;
}

void inject_system_calls(std::map<int, Injection> injections) {
#if defined(VECTOLITH_TSAN)
  skip_from_child("TSan makes the injected calls itself and holds signals back");
#endif
  if (!kCanInject) skip_from_child("system calls cannot be injected on this architecture");
  std::vector<int> numbers;
  for (auto& [number, injection] : injections) {
    injected.at(static_cast<std::size_t>(number)).injection = std::move(injection);
    numbers.push_back(number);
  }
  struct sigaction action{};
  action.sa_sigaction = on_injected_call;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (::sigaction(SIGSYS, &action, nullptr) != 0) skip_from_child("sigaction");
  install_filter(numbers, SECCOMP_RET_TRAP);
}

int injected_calls(int number) { return injected.at(static_cast<std::size_t>(number)).calls.load(); }

void forbid_system_calls(const std::vector<int>& numbers, int system_errno) {
  install_filter(numbers, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(system_errno));
}

}  // namespace vectolith::engine::testing
