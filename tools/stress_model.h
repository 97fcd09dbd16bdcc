/// @file
/// The fixed part of `stress`: the bytes of every version of every key, and the records of its log files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <vectolith/format/key.h>
#include <vectolith/format/model_spec.h>
#include <vectolith/format/result.h>

#include "command.h"

namespace vectolith::tools {

inline constexpr const char* kStressFamily = "stress";

/// The options of `stress`, also of `stress --verify`.
struct StressArguments {
  CommonOptions common;
  std::uint64_t seed = 1;
  std::uint64_t ops = 10'000;
  std::uint64_t keys = 1'000;
  std::uint32_t dim = 64;
  std::uint32_t threads = 1;
  std::string level = "buffered";
  double erase_ratio = 0.1;
  double replace_ratio = 0.3;
  std::uint64_t segment_bytes = 1ULL << 20;  ///< Of the family's first segment; later ones grow as always.
  /// One for a run; for --verify those of all runs that wrote the ack file. Empty: 0.
  std::vector<std::uint64_t> first_versions;
  int ack_fd = -1;
  int intent_fd = -1;
  bool verify = false;
  bool recover = false;
  bool threads_given = false;
  std::string ack_file;
  std::string intent_file;
};

/// SplitMix64: the mix of x + 0x9E3779B97F4A7C15. splitmix64(0) is 0xE220A8397B1DCDAF.
std::uint64_t splitmix64(std::uint64_t x) noexcept;

/// Deterministic random numbers: output i is splitmix64 of the state i steps on.
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t state) noexcept : state_(state) {}
  std::uint64_t next() noexcept;
  /// Uniform in [0, 1).
  double next_double() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

/// Key k of the stress family: the little-endian number k + 1, then 24 zero bytes.
Key stress_key(std::uint64_t key) noexcept;
/// The number k of a key that `stress_key` can have made for k < keys.
std::optional<std::uint64_t> stress_key_number(const Key& key, std::uint64_t keys) noexcept;
ModelSpec stress_spec(std::uint32_t dim);
/// The vector of version `version` of key `key`: docs/tool.md, "stress".
void fill_version(std::uint64_t seed, std::uint64_t key, std::uint64_t version,
                  std::span<float> vector) noexcept;
/// Whether `bytes` are that vector.
bool is_version(std::uint64_t seed, std::uint64_t key, std::uint64_t version,
                std::span<const std::byte> bytes);
/// The highest version below `versions_end` whose vector `bytes` are. Cost: one hash a version.
std::optional<std::uint64_t> find_version(std::uint64_t seed, std::uint64_t key, std::uint64_t versions_end,
                                          std::span<const std::byte> bytes);

enum class StressOp : std::uint8_t { kPut = 1, kErase = 2 };

/// One acknowledged (or, in an intent file, started) operation. Little-endian, 24 bytes.
struct StressRecord {
  std::uint64_t key = 0;
  std::uint64_t version = 0;
  StressOp op = StressOp::kPut;
  std::uint8_t level = 1;  ///< 1 buffered, 2 durable.
  std::array<std::uint8_t, 6> zero{};
};
static_assert(sizeof(StressRecord) == 24);
static_assert(std::has_unique_object_representations_v<StressRecord>);

/// Writes the record with a single write to `fd`; nothing if fd is negative. Threads: any.
Result<void> write_stress_record(int fd, const StressRecord& record);
/// Errors: kCorruption for a file that is no sequence of such records.
Result<std::vector<StressRecord>> read_stress_records(const std::string& path);

Result<int> run_stress(const StressArguments& arguments);
Result<int> verify_stress(const StressArguments& arguments);

}  // namespace vectolith::tools
