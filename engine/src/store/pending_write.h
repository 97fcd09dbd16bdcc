/// @file
/// One write on its way through the committer: what is asked for, and what came of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <vectolith/format/record.h>
#include <vectolith/store.h>

#include "manifest/family_state.h"

namespace vectolith::engine {

/// A put (one row, an atomic batch, or a record), an erase, or a sync.
///
/// Owned by the caller until `state` is kDone; after that the committer does not touch it. An
/// asynchronous write owns itself through `self` until then.
struct PendingWrite {
  enum class Kind : std::uint8_t { kPut, kErase, kSync };
  enum State : int { kQueued, kMayLead, kDone };

  Kind kind = Kind::kPut;
  Durability level = Durability::kBuffered;
  bool replace = false;
  bool has_waiter = true;
  bool is_large = false;  ///< A batch that no single segment can hold; committed alone.
  BuildId build{};
  std::uint16_t flags = 0;  ///< RowFlags known before placement.
  std::uint64_t created_at_ms = 0;
  FamilyState* family = nullptr;   ///< Null for kSync.
  std::span<const BatchRow> rows;  ///< kPut: one or more; kErase: one, without a vector.
  std::span<const std::uint64_t> hashes;
  std::span<PutResult> results;                      ///< One per row of a put.
  const format::PreparedPayload* payload = nullptr;  ///< Records: the one row's payload.

  // Results.
  bool existed = false;  ///< kErase.
  std::uint64_t commit = 0;
  std::optional<Error> error;
  std::uint64_t runs = 0;  ///< Committer's scratch: a bit for each run whose failure is this write's failure.
  std::atomic<int> state{kQueued};
  PendingWrite* next = nullptr;  ///< The queue's: who comes after this one.

  // Storage of asynchronous writes.
  std::shared_ptr<PendingWrite> self;
  std::shared_ptr<FamilyState> family_owner;
  std::vector<std::byte> owned_vector;
  BatchRow owned_row;
  std::uint64_t owned_hash = 0;
  PutResult owned_result;
};

}  // namespace vectolith::engine
