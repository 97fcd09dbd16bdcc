/// @file
/// Promise of Options::heap: the engine's own memory comes from it, and all of it goes back.
#include <atomic>
#include <memory_resource>
#include <optional>

#include "engine/store/store_fixture.h"

namespace vectolith::testing {
namespace {

/// Counts what is taken from the default heap through it.
class CountingResource : public std::pmr::memory_resource {
 public:
  [[nodiscard]] std::uint64_t taken() const { return taken_.load(); }
  [[nodiscard]] std::uint64_t held_bytes() const { return held_.load(); }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    taken_.fetch_add(1);
    held_.fetch_add(bytes);
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    held_.fetch_sub(bytes);
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::atomic<std::uint64_t> taken_{0};
  std::atomic<std::uint64_t> held_{0};
};

class Heap : public StoreTest {
 protected:
  CountingResource heap_;
};

TEST_F(Heap, ServesSegmentsAndWritesAndGetsAllBackAfterTheLastPin) {
  Options with = options();
  with.heap = &heap_;
  open(with);
  std::optional<PinnedVector> pinned;
  {
    auto f = family();
    const auto before = heap_.taken();
    for (std::uint64_t i = 0; i < 50; ++i) put(f, i);
    ASSERT_TRUE(f.erase(key_of(7)).has_value());
    auto records = *store_->record_family("r");
    ASSERT_TRUE(records.put(key_of(1), "text").has_value());
    EXPECT_GT(heap_.taken(), before) << "buffers of the write path";
    EXPECT_GT(heap_.held_bytes(), 0U) << "bitmaps of the segments";
    pinned.emplace(**f.get(key_of(3)));
  }
  close();
  EXPECT_GT(heap_.held_bytes(), 0U) << "what the pin holds";
  EXPECT_TRUE(same_bytes(**pinned, vector_of(3)));
  pinned.reset();
  EXPECT_EQ(heap_.held_bytes(), 0U);
}

}  // namespace
}  // namespace vectolith::testing
