/// @file
/// The rows of a store of unknown condition that can be read, and which of them count.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include <vectolith/format/result.h>
#include <vectolith/format/segment.h>

#include "io/environment.h"
#include "verify/repair_plan.h"
#include "verify/segment_judge.h"

namespace vectolith::engine {

/// A segment that a plan keeps, and what it holds.
struct ReadableSegment {
  std::unique_ptr<File> file;
  format::SegmentHeader header;
  SegmentJudgement judgement;
};

/// A row of one of `segments`.
struct ReadableRow {
  KeptRow row;
  std::size_t segment = 0;
};

/// One family's rows.
struct ReadableFamily {
  std::vector<ReadableSegment> segments;
  std::vector<ReadableRow> newest;  ///< Of each key that is not erased, in the order of their sequences.
  std::uint64_t older = 0;
  std::uint64_t erased = 0;
};

/// Reads the segments of `family` as `plan` means them. Memory: about 100 bytes a row of the family.
ReadableFamily read_family(const RepairPlan& plan, Directory& directory, FamilyId family);

}  // namespace vectolith::engine
