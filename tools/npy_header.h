/// @file
/// Header of a .npy file (versions 1 and 2), both ways.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <vectolith/format/model_spec.h>
#include <vectolith/format/result.h>

#include "input_file.h"

namespace vectolith::tools {

/// A C-contiguous little-endian matrix in a .npy file.
struct NpyHeader {
  std::string descr;  ///< NumPy's name of the element type, for example "<f4".
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::uint64_t data_offset = 0;
};

/// Errors: kCorruption (no .npy file, a header that does not parse), kUnsupported (a version above 2),
///         kInvalidArgument (Fortran order, an object or structured type, a shape that is not 2-D).
Result<NpyHeader> read_npy_header(const InputFile& file);
/// Version 1 header for `rows` vectors of `spec`, padded so that the data starts at a multiple of 64.
std::string npy_header_text(const ModelSpec& spec, std::uint64_t rows);
/// NumPy's name for the element type. bf16 has none: its bits are "<u2"; b1 vectors are packed in "|u1".
std::string_view npy_descr(Dtype dtype) noexcept;
/// Whether a .npy of type `descr` holds vectors of type `dtype`.
bool npy_descr_fits(std::string_view descr, Dtype dtype) noexcept;
/// Columns that vectors of `spec` take: bytes for b1, elements otherwise.
std::uint64_t npy_columns(const ModelSpec& spec) noexcept;

}  // namespace vectolith::tools
