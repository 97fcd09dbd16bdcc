/// @file
/// Vectors and payloads as functions of a key.
#include "support/sim/sim_values.h"

#include <cstring>

namespace vectolith::testing::sim {
namespace {

/// SplitMix64 (Steele, Lea and Flood 2014): its state is one word, so that a value costs little to make.
class Generator {
 public:
  Generator(std::uint64_t family, std::uint64_t key, std::uint64_t version)
      : state_(family * 0x9E3779B97F4A7C15U ^ key * 0xC2B2AE3D27D4EB4FU ^ version * 0x165667B19E3779F9U) {}
  std::uint32_t operator()() noexcept {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t mixed = (state_ ^ (state_ >> 30)) * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBU;
    return static_cast<std::uint32_t>(mixed >> 32);
  }

 private:
  std::uint64_t state_;
};

}  // namespace

std::vector<std::byte> vector_value(const ModelSpec& spec, std::uint64_t family, std::uint64_t key,
                                    std::uint64_t version) {
  Generator random(family, key, version);
  std::vector<std::byte> bytes(spec.vector_bytes());
  const auto fill = [&](auto make) {
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(make(random()))) {
      const auto element = make(random());
      std::memcpy(bytes.data() + at, &element, sizeof element);
    }
  };
  switch (spec.dtype) {
    case Dtype::kF32:
      fill([](std::uint32_t r) { return 1.0F + static_cast<float>(r % 1'000'003) * 1e-6F; });
      break;
    case Dtype::kF16:
      fill([](std::uint32_t r) { return static_cast<std::uint16_t>(0x3C00U | (r & 0x3FFU)); });
      break;
    case Dtype::kBf16:
      fill([](std::uint32_t r) { return static_cast<std::uint16_t>(0x3F80U | (r & 0x7FU)); });
      break;
    default: fill([](std::uint32_t r) { return static_cast<std::uint8_t>(r | 1U); }); break;
  }
  // Bits behind the last one of a packed bit vector are zero.
  if (spec.dtype == Dtype::kB1 && spec.dim % 8 != 0)
    bytes.back() &= static_cast<std::byte>((1U << (spec.dim % 8)) - 1);
  return bytes;
}

std::vector<std::byte> record_value(std::uint64_t family, std::uint64_t key, std::uint64_t version) {
  Generator random(family, key, version);
  std::vector<std::byte> bytes(sizeof version + random() % (random() % 8 == 0 ? 3'000 : 200));
  const bool is_dull = random() % 2 == 0;
  for (auto& b : bytes) b = static_cast<std::byte>(is_dull ? version & 0xFF : random());
  std::memcpy(bytes.data(), &version, sizeof version);
  return bytes;
}

}  // namespace vectolith::testing::sim
