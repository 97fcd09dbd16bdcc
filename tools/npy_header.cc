/// @file
/// Strict reader of the Python literal at the front of .npy files, and its writer.
#include "npy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <regex>
#include <string_view>

#include <vectolith/format/bytes.h>

namespace vectolith::tools {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
/// A 2-D header has some 80 characters before its padding. The bound keeps the regex engine's recursion
/// small.
constexpr std::size_t kLiteralBytesMax = 512;

std::unexpected<Error> npy_error(ErrorCode code, const InputFile& file, std::string_view what,
                                 std::string_view expected, std::string_view found) {
  return std::unexpected(
      Error(code, what).with_file(file.path()).with_offset(0).with_expected(expected).with_found(found));
}

struct NpyPrefix {
  std::size_t prefix_bytes;
  std::size_t literal_bytes;
};

Result<NpyPrefix> read_prefix(const InputFile& file) {
  std::array<std::byte, 12> bytes{};
  VECTOLITH_TRY_ASSIGN(const std::size_t got, file.read_at(0, bytes));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), got);
  if (!text.starts_with(kMagic) || got < 10) {
    return npy_error(ErrorCode::kCorruption, file, "this is no .npy file", "\\x93NUMPY and a version",
                     std::to_string(got) + " other bytes");
  }
  format::Reader reader(bytes);
  VECTOLITH_TRY(reader.take(kMagic.size()));
  VECTOLITH_TRY_ASSIGN(const auto version, reader.read<std::uint8_t>());
  VECTOLITH_TRY(reader.take(1));
  if (version == 1) {
    VECTOLITH_TRY_ASSIGN(const auto length, reader.read<std::uint16_t>());
    return NpyPrefix{10, length};
  }
  if (version != 2) {
    return npy_error(ErrorCode::kUnsupported, file, "unsupported .npy version", "1 or 2",
                     std::to_string(version));
  }
  VECTOLITH_TRY_ASSIGN(const auto length, reader.read<std::uint32_t>());
  return NpyPrefix{12, length};
}

/// The literal without the spaces and the newline that pad it.
Result<std::string> read_literal(const InputFile& file, const NpyPrefix& prefix) {
  if (prefix.prefix_bytes + prefix.literal_bytes > file.size()) {
    return npy_error(ErrorCode::kCorruption, file, "the .npy header is truncated",
                     std::to_string(prefix.prefix_bytes + prefix.literal_bytes) + " bytes",
                     std::to_string(file.size()));
  }
  std::string literal(std::min<std::size_t>(prefix.literal_bytes, 65'536), '\0');
  VECTOLITH_TRY(file.read_exact(prefix.prefix_bytes, std::as_writable_bytes(std::span(literal))));
  literal.erase(literal.find_last_not_of(" \n") + 1);
  if (literal.size() > kLiteralBytesMax) {
    return npy_error(ErrorCode::kInvalidArgument, file, "the .npy header is too long for a plain matrix",
                     "at most " + std::to_string(kLiteralBytesMax) + " characters",
                     std::to_string(literal.size()));
  }
  return literal;
}

Result<std::uint64_t> parse_count(const InputFile& file, const std::string& digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc() && end == digits.data() + digits.size()) return value;
  return npy_error(ErrorCode::kCorruption, file, "the .npy shape is out of range", "64-bit numbers", digits);
}

Result<NpyHeader> parse_literal(const InputFile& file, const std::string& literal) {
  static const std::regex kDictionary(
      R"(\{(\s*'(descr|fortran_order|shape)'\s*:\s*('[^']*'|\[.*\]|True|False|\([0-9, ]*\))\s*,?){3}\s*\})");
  static const std::regex kDescr(R"('descr'\s*:\s*'([<>|=][a-zA-Z][0-9]*)')");
  static const std::regex kOrder(R"('fortran_order'\s*:\s*(True|False))");
  static const std::regex kShape(R"('shape'\s*:\s*\(\s*([0-9]+)\s*,\s*([0-9]+)\s*,?\s*\))");
  if (!std::regex_match(literal, kDictionary)) {
    return npy_error(ErrorCode::kCorruption, file, "the .npy header does not parse",
                     "{'descr': '<f4', 'fortran_order': False, 'shape': (rows, columns), }", literal);
  }
  std::smatch descr;
  std::smatch order;
  std::smatch shape;
  if (!std::regex_search(literal, descr, kDescr) || descr[1].str().find('O') != std::string::npos) {
    return npy_error(ErrorCode::kInvalidArgument, file, "object and structured .npy types hold no vectors",
                     "a plain number type such as '<f4'", literal);
  }
  if (!std::regex_search(literal, order, kOrder) || order[1] != "False") {
    return npy_error(ErrorCode::kInvalidArgument, file, "the .npy matrix is in Fortran order",
                     "C order (numpy.ascontiguousarray makes it)", "fortran_order: True");
  }
  if (!std::regex_search(literal, shape, kShape)) {
    return npy_error(ErrorCode::kInvalidArgument, file, "the .npy array is no matrix",
                     "shape (rows, columns)", literal);
  }
  NpyHeader header{.descr = descr[1].str(), .rows = 0, .columns = 0, .data_offset = 0};
  VECTOLITH_TRY_ASSIGN(header.rows, parse_count(file, shape[1].str()));
  VECTOLITH_TRY_ASSIGN(header.columns, parse_count(file, shape[2].str()));
  return header;
}

}  // namespace

Result<NpyHeader> read_npy_header(const InputFile& file) {
  VECTOLITH_TRY_ASSIGN(const auto prefix, read_prefix(file));
  VECTOLITH_TRY_ASSIGN(const auto literal, read_literal(file, prefix));
  VECTOLITH_TRY_ASSIGN(auto header, parse_literal(file, literal));
  header.data_offset = prefix.prefix_bytes + prefix.literal_bytes;
  return header;
}

std::string npy_header_text(const ModelSpec& spec, std::uint64_t rows) {
  constexpr std::size_t kPrefixBytes = 10;
  std::string literal = "{'descr': '";
  literal.append(npy_descr(spec.dtype)).append("', 'fortran_order': False, 'shape': (");
  literal.append(std::to_string(rows)).append(", ").append(std::to_string(npy_columns(spec))).append("), }");
  const std::size_t total = format::align_up(kPrefixBytes + literal.size() + 1, 64);
  literal.append(total - kPrefixBytes - literal.size() - 1, ' ').append("\n");
  std::string text(kMagic);
  text += {'\x01', '\x00', static_cast<char>(literal.size() & 255), static_cast<char>(literal.size() >> 8)};
  return text + literal;
}

std::string_view npy_descr(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::kF32: return "<f4";
    case Dtype::kF16: return "<f2";
    case Dtype::kBf16: return "<u2";
    case Dtype::kI8: return "|i1";
    case Dtype::kU8:
    case Dtype::kB1: return "|u1";
  }
  return "";
}

bool npy_descr_fits(std::string_view descr, Dtype dtype) noexcept {
  // ml_dtypes writes bfloat16 as two opaque bytes.
  if (dtype == Dtype::kBf16 && (descr == "<V2" || descr == "|V2")) return true;
  return descr == npy_descr(dtype);
}

std::uint64_t npy_columns(const ModelSpec& spec) noexcept {
  return spec.dtype == Dtype::kB1 ? spec.vector_bytes() : spec.dim;
}

}  // namespace vectolith::tools
