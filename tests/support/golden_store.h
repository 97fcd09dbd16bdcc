/// @file
/// What was put into the golden stores, step by step, and what they must hold because of it.
///
/// No function here asks the engine for anything: the bytes of a row follow from family, number and version
/// by the arithmetic in golden_store.cc, and the final state from walking the steps over a plain map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <vectolith/format/model_spec.h>

namespace vectolith::testing {

inline constexpr const char* kGoldenScope = "tenant-a";
inline constexpr const char* kGoldenChunker = "sentences";
inline constexpr std::uint32_t kGoldenChunkerVersion = 2;
inline constexpr const char* kGoldenBuild = "embedder-2025-06";
inline constexpr const char* kGoldenRecords = "texts";    ///< The record family.
inline constexpr const char* kGoldenDropped = "dropped";  ///< A family that was made, filled and dropped.

/// A vector family of the golden stores.
struct GoldenFamily {
  const char* name = nullptr;
  Dtype dtype{};
  std::uint32_t dim = 0;
  std::uint32_t rows =
      0;  ///< Numbers 1 to `rows` are put one by one, the next `kGoldenBatchRows` as a batch.
  bool unit_norm = false;

  [[nodiscard]] ModelSpec spec() const;
};
const std::vector<GoldenFamily>& golden_families();

inline constexpr std::uint32_t kGoldenBatchRows = 8;
inline constexpr std::uint32_t kGoldenRecordCount = 6;

/// One write. Every number is a key of its own.
struct GoldenStep {
  enum class Kind : std::uint8_t {
    kPut,
    kPutBatch,   ///< Numbers `number` to `number + kGoldenBatchRows - 1`, all or nothing.
    kPutInVain,  ///< The key exists and `replace` is not set: the old row stays.
    kReplace,
    kErase,
  };
  Kind kind{};
  std::uint64_t number = 0;
  std::uint32_t version = 0;

  /// Seconds since 1970 that the writer gave; one for all rows of a batch.
  [[nodiscard]] std::uint64_t created_at_s() const { return 1'750'000'000 + number * 60 + version; }
};
/// The writes of a vector family with `rows` rows, and of the record family, in order.
std::vector<GoldenStep> golden_steps(std::uint32_t rows);
std::vector<GoldenStep> golden_record_steps();

struct GoldenRow {
  std::uint32_t version = 0;
  std::uint64_t created_at_s = 0;
};
/// What each number that is present after `steps` holds.
std::map<std::uint64_t, GoldenRow> golden_state(const std::vector<GoldenStep>& steps);

/// Every third key has the scope and the chunker above, the others have none.
bool golden_has_scope(std::uint64_t number);
std::vector<std::byte> golden_vector(const GoldenFamily& family, std::uint64_t number, std::uint32_t version);
/// Record 1 is short and stored as it is, record 2 long and repetitive, so that zstd saves; and so on.
std::string golden_text(std::uint64_t number, std::uint32_t version);

}  // namespace vectolith::testing
