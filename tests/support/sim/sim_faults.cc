/// @file
/// Decides on every call of a process, as the run's choices and profile will have it.
#include "support/sim/sim_faults.h"

#include <array>
#include <cerrno>

namespace vectolith::testing::sim {

void SimFaults::plan_no_death() {
  dies_at_.reset();
  aims_at_.reset();
}

void SimFaults::plan_death(std::uint64_t after) {
  plan_no_death();
  auto& choices = run_.choices;
  const bool many_names = run_.profile.many_names;
  if (!choices.one_in(many_names ? 2 : 4)) {
    dies_at_ = after;
    return;
  }
  constexpr std::array kAims = {CallKind::kUnlink, CallKind::kDirectorySync, CallKind::kRename,
                                CallKind::kPreallocate};
  aims_at_ = kAims[choices.below(kAims.size())];
  if (many_names || choices.one_in(3)) aims_at_ = CallKind::kDataSync;
  aims_left_ = choices.below(4);
}

void SimFaults::draw_errors() { with_errors_ = run_.profile.error_one_in != 0 && run_.choices.one_in(2); }

bool SimFaults::is_aimed_at(const Call& call) {
  if (aims_at_ != call.kind) return false;
  // Of the barriers, those of the manifest file that a switch makes valid.
  if (call.kind == CallKind::kDataSync && !call.name.ends_with("MANIFEST-1")) return false;
  return aims_left_-- == 0;
}

Outcome SimFaults::decide(const Call& call, bool is_open) {
  if ((dies_at_ && call.number >= *dies_at_) || is_aimed_at(call)) {
    if (call.kind == CallKind::kWrite) ++run_.counts.torn_writes;
    if (!is_open) ++run_.counts.double_crashes;
    run_.story.tell("dies in call ", call.number, " kind ", static_cast<int>(call.kind), " of ", call.name);
    return {.dies = true};
  }
  if (const auto outcome = cut_transfer(call)) return *outcome;
  return fail(call).value_or(Outcome{});
}

std::optional<Outcome> SimFaults::cut_transfer(const Call& call) {
  auto& choices = run_.choices;
  const bool is_transfer = call.kind == CallKind::kRead || call.kind == CallKind::kWrite;
  if (!is_transfer || !choices.one_in(run_.profile.cut_one_in) || call.bytes <= 1) return std::nullopt;
  ++run_.counts.io_errors;
  if (choices.one_in(3)) return Outcome{.error = choices.one_in(2) ? EINTR : EAGAIN};
  return Outcome{.is_cut = true, .moved = 1 + choices.below(call.bytes - 1)};
}

std::optional<Outcome> SimFaults::fail(const Call& call) {
  auto& choices = run_.choices;
  const bool takes_space = call.kind == CallKind::kWrite || call.kind == CallKind::kPreallocate;
  const bool is_change = takes_space || call.kind == CallKind::kDataSync;
  const bool is_segment_barrier = call.kind == CallKind::kDataSync && call.name.ends_with(".vls");
  const auto hit = run_.profile.errors_hit;
  const bool may_fail = hit == 0 || (hit == 1 ? is_change : is_segment_barrier);
  if (!with_errors_ || !may_fail || !choices.one_in(run_.profile.error_one_in)) return std::nullopt;
  ++run_.counts.io_errors;
  had_errors_ = true;
  const bool is_full = takes_space && choices.one_in(3);
  run_.story.tell("call ", call.number, " kind ", static_cast<int>(call.kind), " of ", call.name, " fails");
  return Outcome{.error = is_full ? ENOSPC : EIO};
}

}  // namespace vectolith::testing::sim
