/// @file
/// The same loops for the engine's rows and the raw rows, with AVX2 where the machine has it.
#include "support/vector_touch.h"

#include <cstring>

// One build runs everywhere and still measures memory instead of SSE2 arithmetic. Sanitizers run
// before ifuncs are resolved, so that they get the plain version.
#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__clang__)
#define VECTOLITH_BENCH_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define VECTOLITH_BENCH_CLONES
#endif

namespace vectolith::bench {
namespace {

using Words = std::uint64_t __attribute__((vector_size(32)));
using Floats = float __attribute__((vector_size(32)));

}  // namespace

VECTOLITH_BENCH_CLONES
std::uint64_t touch(std::span<const std::byte> vector) noexcept {
  Words sum{};
  for (std::size_t at = 0; at + sizeof(Words) <= vector.size(); at += sizeof(Words)) {
    Words words;
    std::memcpy(&words, vector.data() + at, sizeof words);
    sum += words;
  }
  return sum[0] + sum[1] + sum[2] + sum[3];
}

VECTOLITH_BENCH_CLONES
float dot(const float* a, const float* b, std::size_t dim) noexcept {
  // Four sums, because one would wait for the latency of each addition.
  Floats sums[4] = {};
  for (std::size_t at = 0; at + 32 <= dim; at += 32) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      Floats left;
      Floats right;
      std::memcpy(&left, a + at + lane * 8, sizeof left);
      std::memcpy(&right, b + at + lane * 8, sizeof right);
      sums[lane] += left * right;
    }
  }
  const Floats total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return ((total[0] + total[1]) + (total[2] + total[3])) + ((total[4] + total[5]) + (total[6] + total[7]));
}

}  // namespace vectolith::bench
