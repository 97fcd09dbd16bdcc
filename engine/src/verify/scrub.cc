/// @file
/// scrub: fsck through a window, at a rate.
#include "verify/scrub.h"

#include <algorithm>
#include <utility>

#include "no_memory.h"
#include "verify/fsck_directory.h"
#include "verify/read_pacer.h"
#include "verify/scrub_window.h"

namespace vectolith {
namespace engine {
namespace {

constexpr std::size_t kFindingsMax = 1'000;

bool same(const Finding& a, const Finding& b) {
  return a.severity == b.severity && a.offset == b.offset && a.file == b.file && a.what == b.what &&
         a.found == b.found;
}

}  // namespace

Result<ScrubReport> scrub_directory(Environment& environment, Directory& directory,
                                    const ScrubOptions& options) {
  std::unique_ptr<File> lock;
  if (!options.online) {
    VECTOLITH_TRY_ASSIGN(lock, lock_shared(directory));
  }
  const FsckOptions fsck_options{
      .on_progress = options.on_progress, .environment = {}, .online = options.online};
  ScrubWindow window(options.from, options.bytes_max, options.should_stop);
  ReadPacer pacer(environment, options.bytes_per_s, options.should_stop);
  ScrubReport report;
  VECTOLITH_TRY_ASSIGN(report.found, fsck_window(directory, fsck_options, window, &pacer));
  report.is_complete = !window.stopped().has_value();
  report.next = window.stopped().value_or(ScrubPosition{});
  return report;
}

void append(FsckReport& whole, FsckReport&& piece) {
  whole.files += piece.files;
  whole.segments += piece.segments;
  whole.rows += piece.rows;
  whole.bytes += piece.bytes;
  whole.damage += piece.damage;
  whole.warnings += piece.warnings;
  for (Finding& finding : piece.findings) {
    if (std::ranges::any_of(whole.findings, [&](const Finding& known) { return same(known, finding); })) {
      if (finding.severity == Finding::Severity::kDamage) --whole.damage;
      if (finding.severity == Finding::Severity::kWarning) --whole.warnings;
    } else if (whole.findings.size() < kFindingsMax) {
      whole.findings.push_back(std::move(finding));
    }
  }
}

}  // namespace engine

Result<ScrubReport> scrub(const std::string& path, const ScrubOptions& options) {
  return catch_no_memory([&]() -> Result<ScrubReport> {
    VECTOLITH_TRY_ASSIGN(const auto environment, engine::environment_or_real(options.environment));
    VECTOLITH_TRY_ASSIGN(const auto directory, environment->open_directory(path, false));
    return engine::scrub_directory(*environment, *directory, options);
  });
}

}  // namespace vectolith
