/// @file
/// Matching operations with what was planned for them.
#include "fault_fs/fault_plan.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace vectolith::crash {

namespace {

bool concerns(const std::string& kind, const std::string& name_part, std::string_view operation,
              const std::string& name) {
  return kind == operation && name.find(name_part) != std::string::npos;
}

}  // namespace

void FaultPlan::add(Fault fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back(std::move(fault));
}

void FaultPlan::hold(std::string kind, std::string name_part) {
  const std::lock_guard lock(mutex_);
  holds_.push_back({.kind = std::move(kind), .name_part = std::move(name_part)});
}

void FaultPlan::release() {
  const std::lock_guard lock(mutex_);
  holds_.clear();
  ++releases_;
  changed_.notify_all();
}

void FaultPlan::wait_held(std::uint64_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return held_ >= count; });
}

void FaultPlan::stop_after(std::uint64_t changes) {
  const std::lock_guard lock(mutex_);
  changes_left_ = changes;
}

void FaultPlan::clear() {
  const std::lock_guard lock(mutex_);
  faults_.clear();
  holds_.clear();
  changes_left_.reset();
  ++releases_;
  changed_.notify_all();
}

std::map<std::string, std::uint64_t> FaultPlan::counts() const {
  const std::lock_guard lock(mutex_);
  auto counts = counts_;
  counts["stopped"] = changes_left_ == std::uint64_t{0} ? 1 : 0;
  counts["held"] = held_;
  return counts;
}

Outcome FaultPlan::before(std::string_view kind, const std::string& name) {
  std::unique_lock lock(mutex_);
  ++counts_[std::string(kind)];
  if (std::ranges::any_of(holds_, [&](const Hold& h) { return concerns(h.kind, h.name_part, kind, name); })) {
    const std::uint64_t releases = releases_;
    ++held_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return releases_ != releases; });
    --held_;
  }
  if (kind != "read" && changes_left_.has_value()) {
    if (*changes_left_ == 0) return {.error = EIO, .is_stopped = true};
    --*changes_left_;
  }
  for (auto& fault : faults_) {
    if (!concerns(fault.kind, fault.name_part, kind, name)) continue;
    ++fault.seen;
    if (fault.seen < fault.nth || fault.seen - fault.nth >= fault.count) continue;
    return {.error = fault.error, .is_short = fault.error == 0};
  }
  return {};
}

}  // namespace vectolith::crash
