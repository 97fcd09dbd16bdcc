/// @file
/// Vectolith, through its public interface alone.
#include <memory>
#include <string>
#include <vector>

#include <vectolith/format/features.h>

#include "compare/compared_store.h"
#include "support/bench_store.h"

namespace vectolith::bench::compare {
namespace {

class VectolithClient final : public Client {
 public:
  VectolithClient(Store& store, Family family, Durability durability)
      : store_(store), family_(std::move(family)), durability_(durability) {}

  void refresh() override {
    scope_.reset();
    scope_.reset(new ReadScope(store_.read_scope()));
  }
  std::span<const std::byte> get(const Key& key) override {
    if (scope_ == nullptr) refresh();
    const auto view = must(family_.get(*scope_, key), "get");
    return view.has_value() ? view->bytes() : std::span<const std::byte>();
  }
  bool get_copy(const Key& key, std::span<std::byte> out) override {
    return must(family_.get_copy(key, out), "get_copy");
  }
  std::size_t multi_get(std::span<const Key> keys, std::span<std::byte> matrix) override {
    if (found_size_ < keys.size()) {
      found_size_ = keys.size();
      found_ = std::make_unique<bool[]>(found_size_);
    }
    return must(family_.multi_get_copy(keys, matrix, {found_.get(), keys.size()}), "multi_get_copy");
  }
  void scan(const RowsVisitor& visit) override {
    const auto show = [&](const RowBlock& block) {
      if (block.are_all_live()) {
        visit({block.base, std::size_t{block.rows} * block.stride_bytes});
        return true;
      }
      for (std::uint32_t row = 0; row < block.rows; ++row) {
        if (block.is_live(row)) visit(block.vector(row));
      }
      return true;
    };
    must(family_.scan(show), "scan");
  }
  void put(const Key& key, std::span<const std::byte> vector) override {
    must(family_.put(key, vector, {.durability = durability_, .replace = true}), "put");
  }
  void insert(std::span<const BatchRow> rows) override {
    must(family_.put_batch(rows, {.durability = Durability::kBuffered}), "put_batch");
  }
  void overwrite(std::span<const BatchRow> rows) override {
    must(family_.put_batch(rows, {.durability = Durability::kBuffered, .replace = true}), "put_batch");
  }

 private:
  Store& store_;
  Family family_;
  Durability durability_;
  std::unique_ptr<ReadScope> scope_;
  std::unique_ptr<bool[]> found_;
  std::size_t found_size_ = 0;
};

class VectolithStore final : public ComparedStore {
 public:
  explicit VectolithStore(const OpenOptions& options)
      : store_(open_store(options.directory)),
        family_(open_family(*store_, options.dim)),
        durability_(options.durability) {
    if (options.purpose == Purpose::kColdMetas) must(family_.place(Placement::kCold), "place");
    // Who may not lock so much memory does without.
    if (options.purpose == Purpose::kColdReads && !family_.place(Placement::kCold, true))
      must(family_.place(Placement::kCold), "place");
  }
  ~VectolithStore() override { must(store_->close(), "close"); }

  std::unique_ptr<Client> client() override {
    return std::make_unique<VectolithClient>(*store_, family_, durability_);
  }
  void sync() override { must(store_->sync(), "sync"); }
  void drop() override { must(store_->drop_family(kFamilyName), "drop_family"); }
  std::vector<std::span<const std::byte>> metas() override {
    std::vector<std::span<const std::byte>> metas;
    for (const auto segments = must(family_.segments(), "segments"); const auto& segment : segments)
      metas.push_back(std::as_bytes(segment.meta));
    return metas;
  }

 private:
  std::unique_ptr<Store> store_;
  Family family_;
  Durability durability_;
};

const Registration kRegistration({
    .rank = 0,
    .name = "vectolith",
    .title = "Vectolith",
    .settings = "all defaults; a ReadScope for every 64 gets; batches by put_batch, buffered, then sync; "
                "cold: placed "
                "kCold, metas pinned",
    .zero_copy = true,
    .metas_apart = true,
    .version = [] { return std::string(VECTOLITH_BENCH_VERSION); },
    .open = [](const OpenOptions& options) -> std::unique_ptr<ComparedStore> {
      return std::make_unique<VectolithStore>(options);
    },
    .lacks = {{Ability::kCompact, "not yet: garbage collection is a later issue"}},
});

}  // namespace
}  // namespace vectolith::bench::compare
