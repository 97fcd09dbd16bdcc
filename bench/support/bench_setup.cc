/// @file
/// Reads the sizes of a run from the environment and owns its work directory.
#include "support/bench_setup.h"

#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>
#include <sys/utsname.h>
#include <unistd.h>

namespace vectolith::bench {
namespace {

std::filesystem::path g_work_directory;
pid_t g_owner = 0;

/// Forked children leave by _exit, but a `die` in one must not take the parent's files away.
void remove_work_directory() {
  std::error_code ignored;
  if (::getpid() == g_owner) std::filesystem::remove_all(g_work_directory, ignored);
}

std::uint64_t number_from_environment(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return fallback;
  char* end = nullptr;
  errno = 0;
  const auto value = std::strtoull(text, &end, 10);
  if (errno != 0 || *end != '\0' || value == 0) die(name, "is not a positive number");
  return value;
}

std::filesystem::path make_work_directory() {
  const char* parent = std::getenv("VECTOLITH_BENCH_DIR");
  std::string name =
      std::string(parent != nullptr && *parent != '\0' ? parent : "/tmp") + "/vectolith-bench-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) die(name, std::strerror(errno));
  return name;
}

Setup read_setup() {
  Setup setup;
  const char* smoke = std::getenv("VECTOLITH_BENCH_SMOKE");
  setup.smoke = smoke != nullptr && *smoke != '\0' && *smoke != '0';
  setup.rows = number_from_environment("VECTOLITH_BENCH_ROWS", setup.smoke ? 4'000 : setup.rows);
  setup.dim = static_cast<std::uint32_t>(number_from_environment("VECTOLITH_BENCH_DIM", setup.dim));
  setup.work_directory = make_work_directory();
  return setup;
}

void add_context(const Setup& setup) {
  utsname system{};
  if (::uname(&system) == 0)
    benchmark::AddCustomContext("kernel", std::string(system.sysname) + " " + system.release);
  benchmark::AddCustomContext("data",
                              std::to_string(setup.rows) + " rows x " + std::to_string(setup.dim) + " f32");
  benchmark::AddCustomContext("smoke", setup.smoke ? "yes" : "no");
}

}  // namespace

void die(std::string_view what, std::string_view why) {
  std::fprintf(stderr, "bench: %.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(why.size()), why.data());
  std::exit(EXIT_FAILURE);
}

int run_benchmarks(int argc, char** argv, const std::function<void(const Setup&)>& add) {
  std::vector<char*> arguments(argv, argv + argc);
  static std::string short_runs = "--benchmark_min_time=0.001";
  const Setup setup = read_setup();
  g_work_directory = setup.work_directory;
  g_owner = ::getpid();
  std::atexit(remove_work_directory);
  // Ahead of the caller's own flags, so that those win.
  if (setup.smoke) arguments.insert(arguments.begin() + 1, short_runs.data());
  int count = static_cast<int>(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return EXIT_FAILURE;
  add_context(setup);
  add(setup);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return EXIT_SUCCESS;
}

}  // namespace vectolith::bench
