/// @file
/// Opens and closes the store of a simulated process, and knows which failures have a cause.
#include "support/sim/sim_life.h"

#include <utility>

#include "support/sim/sim_model.h"

namespace vectolith::testing::sim {

void SimLife::start() {
  run_.choices.stir();
  process_ = std::make_shared<SimEnvironment>(run_.disk, run_.choices.noise()(), now_ns_);
  faults_.plan_no_death();
  is_open_ = false;
  process_->decide = [this](const Call& call) { return faults_.decide(call, is_open_); };
}

Options SimLife::options() {
  Options options;
  options.create_if_missing = true;
  options.environment = process_;
  options.segment_bytes_initial = 64U << 10;
  options.segment_bytes_target = run_.profile.segment_bytes;
  options.durability = Durability::kBuffered;
  options.on_event = [this](const Event& event) { on_event(event); };
  return options;
}

bool SimLife::open() {
  ++run_.counts.opens;
  is_open_ = false;
  faults_.draw_errors();
  for (int attempt = 0;; ++attempt) {
    faults_.forget_errors();
    told_ = {};
    auto opened = Store::open(kSimPath, options());
    if (opened) {
      store_ = *std::move(opened);
      break;
    }
    if (is_dead()) return false;
    // A write of a dead process may outlast the wait for its lock: then the caller tries again.
    const auto code = opened.error().code();
    const bool may_fail =
        had_errors() || run_.excuse.refusal || code == ErrorCode::kLocked || code == ErrorCode::kNoSpace;
    if (!may_fail || attempt > 4) {
      if (run_.excuse.refusal) return false;
      throw Violation("open failed: " + opened.error().to_string());
    }
    run_.story.tell("open fails: ", opened.error().to_string());
    faults_.stop_errors();
    if (code == ErrorCode::kNoSpace) run_.disk.set_capacity(kNoLimitBytes);
  }
  is_open_ = true;
  run_.story.tell("opened");
  process_->meanwhile = [this] { look_meanwhile(); };
  return true;
}

bool SimLife::close() {
  process_->meanwhile = nullptr;
  const auto closed = store_->close();
  if (is_dead()) return false;
  if (!closed && !had_errors() && closed.error().code() != ErrorCode::kNoSpace)
    throw Violation("close failed: " + closed.error().to_string());
  store_.reset();
  return closed.has_value();
}

void SimLife::end() {
  process_->meanwhile = nullptr;
  trace_hash_ ^= process_->trace_hash() * 31 + trace_hash_;
  store_.reset();
  now_ns_ = process_->steady_ns() + 1;
  process_.reset();
}

void SimLife::on_event(const Event& event) {
  run_.story.tell("event ", static_cast<int>(event.kind), ": ", event.message,
                  event.error ? ": " + event.error->to_string() : "");
  if (event.kind == Event::Kind::kCorruption) told_.damage = true;
  if (event.kind == Event::Kind::kRowsLost) told_.lost_rows = true;
  if (event.kind == Event::Kind::kReadOnly) told_.read_only = true;
}

void SimLife::demand_cause(const Error& error) {
  if (is_dead()) return;
  const bool is_full = error.code() == ErrorCode::kNoSpace && run_.profile.capacity_bytes < kNoLimitBytes;
  if (!had_errors() && !is_full) throw Violation("an operation failed without a cause: " + error.to_string());
  run_.story.tell("error: ", error.to_string());
}

void SimLife::look_meanwhile() {
  if (!meanwhile || !is_open_ || is_dead() || !seen_meanwhile_.empty()) return;
  try {
    meanwhile();
  } catch (const Violation& violation) {
    seen_meanwhile_ = violation.what();
  }
}

void SimLife::throw_seen_meanwhile() const {
  if (!seen_meanwhile_.empty()) throw Violation("while a commit was under way: " + seen_meanwhile_);
}

}  // namespace vectolith::testing::sim
