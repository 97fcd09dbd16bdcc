/// @file
/// The steps of background work.
#include "store/maintenance.h"

#include <utility>

#include "no_memory.h"
#include "store/placement.h"

namespace vectolith::engine {
namespace {

constexpr std::chrono::milliseconds kIdle{100};
/// So many waits for a device between two steps say that the kernel takes mapped pages back: a thread that
/// does nothing but wait for pages makes thousands, and one that begins to run some tens.
constexpr std::uint64_t kFaultsOfShortage = 100;
constexpr std::uint64_t kShortageNs = 3'000'000'000;

}  // namespace

std::chrono::nanoseconds Maintenance::step() noexcept {
  prepare_segments();
  (void)seal_all();
  context_.epochs.collect();
  (void)catch_no_memory([this]() -> Result<void> {
    place_new_segments(context_, committer_);
    return {};
  });
  watch_memory();
  witness_when_idle();
  return kIdle;
}

Result<void> Maintenance::seal_all() noexcept {
  std::optional<Error> first;
  SealJobs later;
  for (auto jobs = committer_.take_seal_jobs(); !jobs.empty();) {
    prepare_segments();  // A writer may run out of rows while many footers are written.
    auto sealed = seal(jobs.front());
    const bool has_memory = sealed || sealed.error().code() != ErrorCode::kNoMemory;
    if (!sealed && !first) first = std::move(sealed).error();
    if (has_memory) {
      jobs.pop_front();
    } else {
      later.splice(later.end(), jobs, jobs.begin());
    }
  }
  committer_.defer_seal(std::move(later));
  if (first) return std::unexpected(std::move(*first));
  return {};
}

Result<void> Maintenance::seal(const SealJob& job) noexcept {
  bool sync_failed = false;
  auto sealed = catch_no_memory([&] { return factory_.seal(*job.segment, sync_failed); });
  if (sealed) {
    const Committer::Lock lock(committer_);
    committer_.note_durable(job.segment);
    job.segment->set_settled();
    return {};
  }
  if (!sync_failed) {
    if (sealed.error().code() == ErrorCode::kNoMemory) return sealed;
    // Unsealed is not unsafe: the rows are durable, and the next open freezes and seals the file.
    context_.report(Event::Kind::kSegmentPoisoned, "a segment could not be sealed", sealed.error());
    return sealed;
  }
  const Committer::Lock lock(committer_);
  return committer_.rescue(job.segment, sealed.error());
}

void Maintenance::prepare_segments() noexcept {
  // A family for which this fails goes on wanting one, and makes it when it must.
  (void)catch_no_memory([this]() -> Result<void> {
    for (const auto& family : context_.family_list()) {
      if (family->wants_prepared.load() && !family->dropped.load() && !context_.is_read_only())
        prepare(*family);
    }
    return {};
  });
}

void Maintenance::prepare(FamilyState& family) {
  const std::unique_lock lock(family.prepare_mutex, std::try_to_lock);
  if (!lock) return;  // The committer makes the next one itself.
  if (family.prepared != nullptr || family.dropped.load()) return;
  const auto bytes = family.next_segment_bytes.load(std::memory_order_relaxed);
  auto made = factory_.create_active(family, bytes);
  if (made) {
    family.prepared = std::move(*made);
    family.wants_prepared.store(false);
  }
}

void Maintenance::watch_memory() {
  const std::uint64_t faults = context_.environment->major_faults();
  const std::uint64_t now = context_.environment->steady_ns();
  const std::uint64_t before = std::exchange(last_major_faults_, faults).value_or(faults);
  if (faults - before >= kFaultsOfShortage) short_until_ns_ = now + kShortageNs;
  context_.memory_is_short.store(now < short_until_ns_, std::memory_order_relaxed);
}

void Maintenance::witness_when_idle() noexcept {
  const std::uint64_t now = committer_.last_commit();
  const bool idle = std::exchange(last_seen_commit_, now) == now;
  if (!idle || witnessed_commit_ == now) return;
  const Committer::Lock lock(committer_);
  committer_.write_witness();
  witnessed_commit_ = now;
}

}  // namespace vectolith::engine
