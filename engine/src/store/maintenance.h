/// @file
/// Background work in steps: sealing, preparing segments, freeing memory, witnesses.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "store/committer.h"
#include "store/segment_factory.h"
#include "store/store_context.h"

namespace vectolith::engine {

/// One bounded piece of work per `step`, so that one thread can drive it or simulate it.
class Maintenance {
 public:
  Maintenance(StoreContext& context, SegmentFactory& factory, Committer& committer)
      : context_(context), factory_(factory), committer_(committer) {}

  /// Does what is due and returns how long nothing is expected to be.
  std::chrono::nanoseconds step() noexcept;
  /// Seals everything that waits; for close. What there is no memory for goes on waiting. Errors: the first
  /// failure.
  Result<void> seal_all() noexcept;

 private:
  Result<void> seal(const SealJob& job) noexcept;
  void prepare_segments() noexcept;
  void prepare(FamilyState& family);
  void watch_memory();
  void witness_when_idle() noexcept;

  StoreContext& context_;
  SegmentFactory& factory_;
  Committer& committer_;
  std::uint64_t witnessed_commit_ = 0;
  std::uint64_t last_seen_commit_ = 0;
  std::optional<std::uint64_t> last_major_faults_;  ///< Nothing before the first step: opening may fault.
  std::uint64_t short_until_ns_ = 0;
};

}  // namespace vectolith::engine
