/// @file
/// What the store's tests share: a store in a directory of its own, vectors that are functions of a key.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <vectolith/store.h>

#include "support/temp_directory.h"

namespace vectolith::testing {

inline constexpr std::uint32_t kDim = 64;

inline ModelSpec small_spec(std::uint32_t dim = kDim) {
  ModelSpec spec;
  spec.model = "test-model";
  spec.dim = dim;
  return spec;
}

inline Key key_of(std::uint64_t number) { return {Digest::from_number(number), ScopeId(0), ChunkerId(0)}; }

/// The vector of version `version` of key `number`: no two differ in fewer than all elements.
inline std::vector<float> vector_of(std::uint64_t number, std::uint64_t version = 0,
                                    std::uint32_t dim = kDim) {
  std::vector<float> vector(dim);
  for (std::uint32_t i = 0; i < dim; ++i) {
    vector[i] = static_cast<float>(number % 100'003) + static_cast<float>(version) * 0.125F +
                static_cast<float>(i) * 1e-3F + 0.5F;
  }
  return vector;
}

inline bool same_bytes(const VectorView& view, const std::vector<float>& expected) {
  const auto bytes = std::as_bytes(std::span(expected));
  return view.bytes().size() == bytes.size() && std::equal(bytes.begin(), bytes.end(), view.bytes().begin());
}

/// A store in a temporary directory on the backend under test.
class StoreTest : public ::testing::Test {
 protected:
  Options options() {
    Options options;
    options.create_if_missing = true;
    options.environment = environment_;
    options.on_event = [this](const Event& event) { events_.push_back(event); };
    return options;
  }
  void open(const Options& with) {
    store_.reset();
    auto opened = Store::open(directory_.path(), with);
    ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
    store_ = *std::move(opened);
  }
  void open() { open(options()); }
  void close() {
    const auto closed = store_->close();
    ASSERT_TRUE(closed.has_value()) << closed.error().to_string();
    store_.reset();
  }
  Family family(const std::string& name = "f", const ModelSpec& spec = small_spec()) {
    auto made = store_->family(name, spec);
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return *made;
  }
  static void put(Family& family, std::uint64_t number, std::uint64_t version = 0,
                  const WriteOptions& with = {}) {
    const auto vector = vector_of(number, version, family.spec().dim);
    const auto done = family.put(key_of(number), std::span<const float>(vector), with);
    ASSERT_TRUE(done.has_value()) << done.error().to_string();
  }
  static void expect_holds(const Family& family, std::uint64_t number, std::uint64_t version = 0) {
    const auto got = family.get(key_of(number));
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    ASSERT_TRUE(got->has_value()) << "key " << number << " is missing";
    EXPECT_TRUE(same_bytes(***got, vector_of(number, version, family.spec().dim))) << "key " << number;
  }
  static void expect_missing(const Family& family, std::uint64_t number) {
    const auto got = family.get(key_of(number));
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    EXPECT_FALSE(got->has_value()) << "key " << number << " is there";
  }

  TempDirectory directory_;
  std::shared_ptr<engine::Environment> environment_ = test_environment();
  std::vector<Event> events_;
  std::unique_ptr<Store> store_;
};

}  // namespace vectolith::testing
