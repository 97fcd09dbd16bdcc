/// @file
/// Shared state of an open store: families made, events told, failures remembered.
#include "store/store_context.h"

#include <array>
#include <bit>
#include <new>
#include <unordered_map>
#include <utility>

namespace vectolith::engine {
namespace {

/// Index memory from the environment's pages.
class EnvironmentPages final : public PageSource {
 public:
  explicit EnvironmentPages(std::shared_ptr<Environment> environment)
      : environment_(std::move(environment)) {}
  void* allocate(std::size_t bytes) noexcept override {
    try {
      auto pages = environment_->allocate_pages(bytes);
      if (!pages) return nullptr;
      void* memory = (*pages)->bytes().data();
      const std::lock_guard lock(mutex_);
      held_.emplace(memory, *std::move(pages));
      return memory;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  void release(void* memory, std::size_t /*bytes*/) noexcept override {
    const std::lock_guard lock(mutex_);
    held_.erase(memory);
  }

 private:
  std::shared_ptr<Environment> environment_;
  std::mutex mutex_;
  std::unordered_map<void*, std::unique_ptr<Pages>> held_;
};

format::KeyHasher make_hasher(Environment& environment) {
  std::array<std::byte, format::KeyHasher::kSecretBytes> secret;
  environment.fill_random(secret);
  return format::KeyHasher(secret);
}

/// The environment's mark, kept alive with it; where it has none, one that is never cleared.
std::shared_ptr<const std::atomic<std::uint32_t>> mark_of(const std::shared_ptr<Environment>& environment) {
  const auto* mark = environment->process_mark();
  if (mark == nullptr) return std::make_shared<const std::atomic<std::uint32_t>>(1);
  return {environment, mark};
}

}  // namespace

StoreContext::StoreContext(Options opened_with, std::string store_path, std::shared_ptr<Environment> os)
    : options(std::move(opened_with)),
      path(std::move(store_path)),
      environment(std::move(os)),
      process_mark(mark_of(environment)),
      heap(options.heap != nullptr ? *options.heap : *std::pmr::get_default_resource()),
      page_source(std::make_shared<EnvironmentPages>(environment)),
      epoch_domain(new EpochDomain([env = environment] { return env->barrier_all_threads(); }, process_mark),
                   // What is retired gives its memory back to the page source, which so outlives the domain.
                   [pages = page_source](EpochDomain* domain) { delete domain; }),
      epochs(*epoch_domain),
      hasher(make_hasher(*environment)),
      cold_reads(*environment, directory) {}

Uuid StoreContext::random_uuid() const {
  Uuid uuid;
  environment->fill_random(uuid.bytes);
  return uuid;
}

std::uint32_t StoreContext::index_shards() const noexcept {
  return std::min(std::bit_ceil(std::max(environment->cores(), 1U) * 4), Index::kShardsMax);
}

Result<std::shared_ptr<FamilyState>> StoreContext::make_family(const FamilyEntry& entry,
                                                               std::uint64_t rows_expected) {
  auto family = std::make_shared<FamilyState>();
  family->epoch_domain = epoch_domain;
  family->id = entry.id;
  family->kind = entry.kind;
  family->name = entry.name;
  family->row_bytes = 64;
  if (entry.kind == format::SegmentKind::kVector) {
    if (!entry.spec)
      return fail(ErrorCode::kCorruption,
                  "family '" + entry.name + "' has no model spec; run 'vectolith fsck'");
    family->spec = *entry.spec;
    family->fingerprint = format::fingerprint(*entry.spec);
    family->row_bytes = entry.spec->vector_bytes();
  }
  family->segment_bytes_target = entry.segment_bytes_target;
  family->next_segment_bytes.store(std::min(options.segment_bytes_initial, entry.segment_bytes_target));
  const auto shape = entry.kind == format::SegmentKind::kVector
                         ? format::vector_geometry(entry.segment_bytes_target, family->row_bytes)
                         : format::record_geometry(entry.segment_bytes_target);
  family->rows_per_segment = shape ? shape->row_capacity : 1;
  VECTOLITH_TRY_ASSIGN(
      family->index,
      Index::create({.shards = index_shards(), .expected_rows = rows_expected}, epochs, *page_source));
  return family;
}

std::vector<std::shared_ptr<FamilyState>> StoreContext::family_list() const {
  std::vector<std::shared_ptr<FamilyState>> list;
  if (is_inherited()) return list;
  const std::shared_lock lock(families_mutex);
  list.reserve(families.size());
  for (const auto& [id, family] : families) list.push_back(family);
  return list;
}

std::shared_ptr<FamilyState> StoreContext::find_family(FamilyId id) const {
  const std::shared_lock lock(families_mutex);
  const auto found = families.find(id);
  return found == families.end() ? nullptr : found->second;
}

void StoreContext::report(Event::Kind kind, std::string_view message,
                          std::optional<Error> error) const noexcept {
  if (!options.on_event) return;
  try {
    options.on_event({.kind = kind, .message = std::string(message), .error = std::move(error)});
  } catch (...) {  // NOLINT(bugprone-empty-catch): the listener's affair must not end what it hears of.
  }
}

void StoreContext::fail_store(const Error& cause) noexcept {
  {
    const std::lock_guard lock(failure_mutex_);
    if (failure_) return;
    failure_ = cause;
  }
  read_only_.store(true, std::memory_order_release);
  report(Event::Kind::kReadOnly, "the store is read-only from now on", cause);
}

Result<void> StoreContext::check_open() const {
  if (closed.load(std::memory_order_acquire)) [[unlikely]]
    return fail(ErrorCode::kClosed, "the store is closed");
  if (is_inherited()) [[unlikely]]
    return fail(ErrorCode::kClosed, "the store belongs to the process that this one was forked from");
  return {};
}

void StoreContext::note_interned(const format::InternedEntry& entry) noexcept {
  auto& highest = interned_max[std::to_underlying(entry.table)];
  if (highest.load(std::memory_order_relaxed) < entry.id) highest.store(entry.id, std::memory_order_release);
}

Result<void> StoreContext::check_interned(const Key& key, BuildId build) const {
  using enum format::InternedEntry::Table;
  const auto check = [this](format::InternedEntry::Table table, std::uint32_t id,
                            const char* name) -> Result<void> {
    const auto highest = interned_max[std::to_underlying(table)].load(std::memory_order_acquire);
    if (id <= highest) [[likely]]
      return {};
    return std::unexpected(Error(ErrorCode::kInvalidArgument,
                                 std::string(name) + " id " + std::to_string(id) + " was never interned")
                               .with_expected("at most " + std::to_string(highest))
                               .with_found(std::to_string(id)));
  };
  VECTOLITH_TRY(check(kScope, key.scope.value, "scope"));
  VECTOLITH_TRY(check(kChunker, key.chunker.value, "chunker"));
  return check(kBuild, build.value, "embedder build");
}

Result<void> StoreContext::check_writable() const {
  VECTOLITH_TRY(check_open());
  if (options.read_only) return fail(ErrorCode::kReadOnly, "the store was opened read-only");
  return check_not_failed();
}

Result<void> StoreContext::check_not_failed() const {
  if (!is_read_only()) [[likely]]
    return {};
  const std::lock_guard lock(failure_mutex_);
  return std::unexpected(
      Error(ErrorCode::kReadOnly, "the store is read-only since: " + failure_->to_string()));
}

}  // namespace vectolith::engine
