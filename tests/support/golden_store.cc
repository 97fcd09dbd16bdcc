/// @file
/// The contents of the golden stores. A change here is a change of the expectation: the stores stay as they
/// are.
#include "support/golden_store.h"

#include <cstring>
#include <span>

namespace vectolith::testing {
namespace {

/// 32 bits that differ between elements, versions, numbers and dtypes.
std::uint32_t mixed(Dtype dtype, std::uint64_t number, std::uint32_t version, std::uint32_t element) {
  std::uint64_t x =
      number * 1'000'003 + version * 10'007U + element * 101U + static_cast<std::uint64_t>(dtype);
  x = (x ^ x >> 15) * 0x2C1B'3C6D;
  x = (x ^ x >> 12) * 0x297A'2D39;
  return static_cast<std::uint32_t>(x ^ x >> 15);
}

template <class Element>
void append(std::vector<std::byte>& bytes, Element element) {
  const auto more = std::as_bytes(std::span(&element, 1));
  bytes.insert(bytes.end(), more.begin(), more.end());
}

/// One element; the floats are between 1 and 2, with bits of the fraction at random.
void append_element(std::vector<std::byte>& bytes, Dtype dtype, std::uint32_t random) {
  switch (dtype) {
    case Dtype::kF32: return append(bytes, 0x3F80'0000U | (random & 0xFFU) << 15);
    case Dtype::kF16: return append(bytes, static_cast<std::uint16_t>(0x3C00U | (random & 0x3FFU)));
    case Dtype::kBf16: return append(bytes, static_cast<std::uint16_t>(0x3F80U | (random & 0x7FU)));
    case Dtype::kI8:
    case Dtype::kU8:
    case Dtype::kB1: return append(bytes, static_cast<std::uint8_t>(random));
  }
}

/// 0.6 and 0.8 at two places: the norm is 1.
std::vector<std::byte> unit_vector(std::uint32_t dim, std::uint64_t number, std::uint32_t version) {
  std::vector<float> vector(dim);
  vector[number % dim] = 0.6F;
  vector[(number + 1 + version) % dim] = version % 2 == 0 ? 0.8F : -0.8F;
  const auto bytes = std::as_bytes(std::span(vector));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

ModelSpec GoldenFamily::spec() const {
  ModelSpec spec;
  spec.model = "golden-embedder";
  spec.revision = "r1";
  spec.parameters = "pooling=mean";
  spec.role = dtype == Dtype::kU8 ? Role::kQuery : Role::kDocument;
  spec.dim = dim;
  spec.dtype = dtype;
  spec.metric = dtype == Dtype::kF16 ? Metric::kDot : dtype == Dtype::kI8 ? Metric::kL2 : Metric::kCosine;
  spec.unit_norm = unit_norm;
  return spec;
}

const std::vector<GoldenFamily>& golden_families() {
  // The last one fills its first segment of 256 KiB and starts another; its rows are mostly zeros, which pack
  // well.
  static const std::vector<GoldenFamily> families = {
      {.name = "f32", .dtype = Dtype::kF32, .dim = 48, .rows = 40},
      {.name = "f16", .dtype = Dtype::kF16, .dim = 24, .rows = 40},
      {.name = "bf16", .dtype = Dtype::kBf16, .dim = 20, .rows = 40},
      {.name = "i8", .dtype = Dtype::kI8, .dim = 36, .rows = 40},
      {.name = "u8", .dtype = Dtype::kU8, .dim = 33, .rows = 40},
      {.name = "b1", .dtype = Dtype::kB1, .dim = 136, .rows = 40},
      {.name = "unit", .dtype = Dtype::kF32, .dim = 256, .rows = 300, .unit_norm = true}};
  return families;
}

std::vector<GoldenStep> golden_steps(std::uint32_t rows) {
  using Kind = GoldenStep::Kind;
  std::vector<GoldenStep> steps;
  for (std::uint32_t number = 1; number <= rows; ++number) steps.push_back({Kind::kPut, number, 0});
  steps.push_back({Kind::kPutInVain, 1, 9});
  steps.push_back({Kind::kPutBatch, rows + 1, 0});
  for (std::uint32_t number = 3; number <= rows; number += 10) steps.push_back({Kind::kReplace, number, 1});
  for (std::uint32_t number = 7; number <= rows; number += 10) steps.push_back({Kind::kErase, number, 0});
  // One key comes back after its erase, one is replaced twice, one of the batch is erased.
  steps.push_back({Kind::kPut, 17, 2});
  steps.push_back({Kind::kReplace, 13, 2});
  steps.push_back({Kind::kErase, rows + 2, 0});
  return steps;
}

std::vector<GoldenStep> golden_record_steps() {
  using Kind = GoldenStep::Kind;
  std::vector<GoldenStep> steps;
  for (std::uint32_t number = 1; number <= kGoldenRecordCount; ++number)
    steps.push_back({Kind::kPut, number, 0});
  steps.push_back({Kind::kPutInVain, 1, 9});
  steps.push_back({Kind::kReplace, 3, 1});
  steps.push_back({Kind::kErase, 4, 0});
  steps.push_back({Kind::kErase, 5, 0});
  steps.push_back({Kind::kPut, 5, 2});
  return steps;
}

std::map<std::uint64_t, GoldenRow> golden_state(const std::vector<GoldenStep>& steps) {
  std::map<std::uint64_t, GoldenRow> state;
  for (const auto& step : steps) {
    const GoldenRow row{.version = step.version, .created_at_s = step.created_at_s()};
    switch (step.kind) {
      case GoldenStep::Kind::kPut:
      case GoldenStep::Kind::kReplace: state[step.number] = row; break;
      case GoldenStep::Kind::kPutBatch:
        for (std::uint32_t i = 0; i < kGoldenBatchRows; ++i) state[step.number + i] = row;
        break;
      case GoldenStep::Kind::kPutInVain: break;
      case GoldenStep::Kind::kErase: state.erase(step.number); break;
    }
  }
  return state;
}

bool golden_has_scope(std::uint64_t number) { return number % 3 == 0; }

std::vector<std::byte> golden_vector(const GoldenFamily& family, std::uint64_t number,
                                     std::uint32_t version) {
  if (family.unit_norm) return unit_vector(family.dim, number, version);
  const std::uint32_t elements = family.dtype == Dtype::kB1 ? family.dim / 8 : family.dim;
  std::vector<std::byte> bytes;
  for (std::uint32_t element = 0; element < elements; ++element)
    append_element(bytes, family.dtype, mixed(family.dtype, number, version, element));
  return bytes;
}

std::string golden_text(std::uint64_t number, std::uint32_t version) {
  std::string text = "record " + std::to_string(number) + ", version " + std::to_string(version) + "\n";
  if (number % 2 == 0) {
    for (int line = 0; line < 100; ++line)
      text += "the same line again and again, " + std::to_string(number) + "\n";
  }
  return text;
}

}  // namespace vectolith::testing
