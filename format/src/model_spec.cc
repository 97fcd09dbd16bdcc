/// @file
/// The model spec's names, limits, canonical bytes, fingerprint and differences.
#include <vectolith/format/model_spec.h>

#include <array>
#include <utility>

#include <vectolith/format/bytes.h>
#include <vectolith/format/checksum.h>

namespace vectolith {
namespace {

constexpr std::array<std::pair<Dtype, std::string_view>, 6> kDtypeNames = {{
    {Dtype::kF32, "f32"},
    {Dtype::kF16, "f16"},
    {Dtype::kBf16, "bf16"},
    {Dtype::kI8, "i8"},
    {Dtype::kU8, "u8"},
    {Dtype::kB1, "b1"},
}};
constexpr std::array<std::pair<Metric, std::string_view>, 3> kMetricNames = {{
    {Metric::kCosine, "cosine"},
    {Metric::kDot, "dot"},
    {Metric::kL2, "l2"},
}};
constexpr std::array<std::pair<Role, std::string_view>, 2> kRoleNames = {{
    {Role::kDocument, "document"},
    {Role::kQuery, "query"},
}};

template <class Names, class Enum>
std::string_view name_in(const Names& names, Enum value) noexcept {
  for (const auto& [known, name] : names) {
    if (known == value) return name;
  }
  return "unknown";
}

template <class Enum, std::size_t N>
std::optional<Enum> parse_in(const std::array<std::pair<Enum, std::string_view>, N>& names,
                             std::string_view text) noexcept {
  for (const auto& [known, name] : names) {
    if (name == text) return known;
  }
  return std::nullopt;
}

template <class Enum, std::size_t N>
bool is_known(const std::array<std::pair<Enum, std::string_view>, N>& names, Enum value) noexcept {
  for (const auto& [known, name] : names) {
    if (known == value) return true;
  }
  return false;
}

}  // namespace

std::string_view to_string(Dtype dtype) noexcept { return name_in(kDtypeNames, dtype); }
std::string_view to_string(Metric metric) noexcept { return name_in(kMetricNames, metric); }
std::string_view to_string(Role role) noexcept { return name_in(kRoleNames, role); }
std::optional<Dtype> parse_dtype(std::string_view name) noexcept { return parse_in(kDtypeNames, name); }
std::optional<Metric> parse_metric(std::string_view name) noexcept { return parse_in(kMetricNames, name); }
std::optional<Role> parse_role(std::string_view name) noexcept { return parse_in(kRoleNames, name); }

namespace format {
namespace {

/// First field of the canonical bytes: room for fields to come.
constexpr std::uint16_t kSpecEncoding = 1;
/// Everything but the strings' characters: five u16, one u32, three u16 lengths.
constexpr std::size_t kSpecFixedBytes = 5 * 2 + 4 + 3 * 2;

std::unexpected<Error> invalid(std::string_view message, std::string_view expected,
                               std::string_view found) noexcept {
  return std::unexpected(
      Error(ErrorCode::kInvalidArgument, message).with_expected(expected).with_found(found));
}

bool has_norm(Dtype dtype) noexcept {
  return dtype == Dtype::kF32 || dtype == Dtype::kF16 || dtype == Dtype::kBf16;
}

Result<void> check_enumerations(const ModelSpec& spec) {
  if (!is_known(kRoleNames, spec.role)) {
    return invalid("model spec: unknown role", "1 or 2", std::to_string(std::to_underlying(spec.role)));
  }
  if (!is_known(kDtypeNames, spec.dtype)) {
    return invalid("model spec: unknown dtype", "1 to 6", std::to_string(std::to_underlying(spec.dtype)));
  }
  if (!is_known(kMetricNames, spec.metric)) {
    return invalid("model spec: unknown metric", "1 to 3", std::to_string(std::to_underlying(spec.metric)));
  }
  return {};
}

void append_difference(std::string& text, std::string_view field, const std::string& here,
                       const std::string& stored) {
  if (here == stored) return;
  if (!text.empty()) text.append("; ");
  text.append(field).append(": ").append(here).append(" here, ").append(stored).append(" in the store");
}

std::string quoted(const std::string& text) { return '"' + text + '"'; }

}  // namespace

Result<void> check_model_spec(const ModelSpec& spec) {
  VECTOLITH_TRY(check_enumerations(spec));
  if (spec.dim == 0 || spec.dim > kDimMax) {
    return invalid("model spec: dim is out of range", "1 to " + std::to_string(kDimMax),
                   std::to_string(spec.dim));
  }
  if (spec.dtype == Dtype::kB1 && spec.dim % 8 != 0) {
    return invalid("model spec: dim of b1 vectors fills no whole bytes", "a multiple of 8",
                   std::to_string(spec.dim));
  }
  if (spec.unit_norm && !has_norm(spec.dtype)) {
    return invalid("model spec: unit_norm needs a floating dtype", "f32, f16 or bf16",
                   std::string(to_string(spec.dtype)));
  }
  // Bounded one by one, so that the sum of hostile lengths can't wrap.
  std::size_t bytes = kSpecFixedBytes;
  for (const auto* text : {&spec.model, &spec.revision, &spec.parameters}) {
    if (text->size() > kModelSpecBytesMax - bytes) {
      return invalid("model spec: model, revision and parameters together are too long",
                     "at most " + std::to_string(kModelSpecBytesMax - kSpecFixedBytes) + " bytes",
                     std::to_string(spec.model.size()) + " + " + std::to_string(spec.revision.size()) +
                         " + " + std::to_string(spec.parameters.size()));
    }
    bytes += text->size();
  }
  return {};
}

std::vector<std::byte> encode_model_spec(const ModelSpec& spec) {
  Writer writer;
  writer.write(kSpecEncoding);
  writer.write(std::to_underlying(spec.role));
  writer.write(std::to_underlying(spec.dtype));
  writer.write(std::to_underlying(spec.metric));
  writer.write(static_cast<std::uint16_t>(spec.unit_norm ? 1 : 0));
  writer.write(spec.dim);
  writer.write_string(spec.model);
  writer.write_string(spec.revision);
  writer.write_string(spec.parameters);
  return std::move(writer).take();
}

Result<ModelSpec> decode_model_spec(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  ModelSpec spec;
  VECTOLITH_TRY_ASSIGN(const auto encoding, reader.read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(const auto role, reader.read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(const auto dtype, reader.read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(const auto metric, reader.read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(const auto unit_norm, reader.read<std::uint16_t>());
  VECTOLITH_TRY_ASSIGN(spec.dim, reader.read<std::uint32_t>());
  VECTOLITH_TRY_ASSIGN(spec.model, reader.read_string());
  VECTOLITH_TRY_ASSIGN(spec.revision, reader.read_string());
  VECTOLITH_TRY_ASSIGN(spec.parameters, reader.read_string());
  VECTOLITH_TRY(reader.expect_end());
  if (encoding != kSpecEncoding || unit_norm > 1) {
    return std::unexpected(Error(ErrorCode::kCorruption, "model spec: unknown encoding or flag")
                               .with_expected("encoding 1, unit_norm 0 or 1")
                               .with_found(std::to_string(encoding) + ", " + std::to_string(unit_norm)));
  }
  spec.role = static_cast<Role>(role);
  spec.dtype = static_cast<Dtype>(dtype);
  spec.metric = static_cast<Metric>(metric);
  spec.unit_norm = unit_norm == 1;
  if (auto checked = check_model_spec(spec); !checked.has_value()) {
    // The same limits as for a caller, but here the bytes are at fault, not an argument.
    return std::unexpected(Error(ErrorCode::kCorruption, checked.error().message())
                               .with_expected(checked.error().expected())
                               .with_found(checked.error().found()));
  }
  return spec;
}

Fingerprint fingerprint(const ModelSpec& spec) { return checksum128(encode_model_spec(spec)); }

std::string difference(const ModelSpec& here, const ModelSpec& stored) {
  std::string text;
  append_difference(text, "model", quoted(here.model), quoted(stored.model));
  append_difference(text, "revision", quoted(here.revision), quoted(stored.revision));
  append_difference(text, "parameters", quoted(here.parameters), quoted(stored.parameters));
  append_difference(text, "role", std::string(to_string(here.role)), std::string(to_string(stored.role)));
  append_difference(text, "dim", std::to_string(here.dim), std::to_string(stored.dim));
  append_difference(text, "dtype", std::string(to_string(here.dtype)), std::string(to_string(stored.dtype)));
  append_difference(text, "metric", std::string(to_string(here.metric)),
                    std::string(to_string(stored.metric)));
  append_difference(text, "unit_norm", here.unit_norm ? "true" : "false",
                    stored.unit_norm ? "true" : "false");
  return text;
}

}  // namespace format
}  // namespace vectolith
