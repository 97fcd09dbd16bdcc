/// @file
/// Any bytes as a model spec, a digest in hexadecimal, a file's name, a struct to describe: the first byte
/// says which.
#include <cctype>
#include <optional>
#include <string>
#include <string_view>

#include <vectolith/format/describe.h>
#include <vectolith/format/file_name.h>
#include <vectolith/format/key.h>
#include <vectolith/format/model_spec.h>

#include "fuzz_support.h"

namespace vectolith::fuzz {
namespace {

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void check_spec(std::span<const std::byte> bytes) {
  const auto spec = format::decode_model_spec(bytes);
  if (!spec.has_value()) return;
  VECTOLITH_FUZZ_CHECK(format::check_model_spec(*spec).has_value());
  const auto encoded = format::encode_model_spec(*spec);
  VECTOLITH_FUZZ_CHECK(encoded.size() == bytes.size() && is_prefix(encoded, bytes));
  VECTOLITH_FUZZ_CHECK(encoded.size() <= kModelSpecBytesMax);
  VECTOLITH_FUZZ_CHECK(spec->vector_bytes() >= 1 && spec->vector_bytes() <= kDimMax * 4);
  VECTOLITH_FUZZ_CHECK(format::difference(*spec, *spec).empty());
}

/// A spec as a caller could hand it in, whatever its fields hold: what passes the check survives the way to
/// disk.
void check_fields(std::span<const std::byte> bytes) {
  if (bytes.size() < 16) return;
  ModelSpec spec;
  spec.role = static_cast<Role>(load<std::uint16_t>(bytes, 0));
  spec.dtype = static_cast<Dtype>(load<std::uint16_t>(bytes, 2));
  spec.metric = static_cast<Metric>(load<std::uint16_t>(bytes, 4));
  spec.unit_norm = load<std::uint8_t>(bytes, 6) % 2 != 0;
  spec.dim = load<std::uint32_t>(bytes, 8);
  const auto text = text_of(bytes.subspan(16));
  const std::size_t first = std::min<std::size_t>(load<std::uint16_t>(bytes, 12), text.size());
  const std::size_t second = std::min<std::size_t>(load<std::uint16_t>(bytes, 14), text.size() - first);
  spec.model = text.substr(0, first);
  spec.revision = text.substr(first, second);
  spec.parameters = text.substr(first + second);
  if (!format::check_model_spec(spec).has_value()) return;
  const auto again = format::decode_model_spec(format::encode_model_spec(spec));
  VECTOLITH_FUZZ_CHECK(again.has_value() && *again == spec);
  VECTOLITH_FUZZ_CHECK(format::fingerprint(*again) == format::fingerprint(spec));
}

void check_digest(std::span<const std::byte> bytes) {
  const auto digest = Digest::from_hex(text_of(bytes));
  if (!digest.has_value()) return;
  std::string lower(text_of(bytes));
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  VECTOLITH_FUZZ_CHECK(digest->to_hex() == lower);
}

std::optional<std::string> name_of(const format::ParsedName& parsed) {
  using Kind = format::ParsedName::Kind;
  switch (parsed.kind) {
    case Kind::kSuperblock: return std::string(format::kSuperblockName);
    case Kind::kSuperblockTemporary: return std::string(format::kSuperblockTemporaryName);
    case Kind::kLock: return std::string(format::kLockName);
    case Kind::kControlSocket: return std::string(format::kControlSocketName);
    case Kind::kManifest: return format::manifest_name(static_cast<int>(parsed.number));
    case Kind::kSegment: return format::segment_name(SegmentId(parsed.number));
    case Kind::kJournal: return format::journal_name(JournalId(parsed.number));
    case Kind::kPool: return format::pool_name(parsed.number);
  }
  return std::nullopt;
}

/// Two names never mean the same file.
void check_name(std::span<const std::byte> bytes) {
  const auto parsed = format::parse_name(text_of(bytes));
  if (parsed.has_value()) VECTOLITH_FUZZ_CHECK(name_of(*parsed) == text_of(bytes));
}

void check_description(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const auto table = format::struct_table();
  const auto& info = table[static_cast<std::size_t>(bytes[0]) % table.size()];
  VECTOLITH_FUZZ_CHECK(bytes.size() == 1 || !format::describe(info, bytes.subspan(1)).empty());
}

}  // namespace

void repair(std::span<std::byte>) {}  // There are no sums here.

}  // namespace vectolith::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vectolith::fuzz;
  if (size == 0) return 0;
  const auto bytes = copy_of(data + 1, size - 1);
  switch (data[0] % 5) {
    case 0: check_spec(bytes); break;
    case 1: check_fields(bytes); break;
    case 2: check_digest(bytes); break;
    case 3: check_name(bytes); break;
    default: check_description(bytes);
  }
  return 0;
}
