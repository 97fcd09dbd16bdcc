/// @file
/// Payloads of the manifest edits, internal to the frame codec.
#pragma once

#include <vectolith/format/bytes.h>
#include <vectolith/format/manifest.h>

namespace vectolith::format {

/// Head and payload of one edit.
void write_edit(Writer& writer, const Edit& edit);
/// Errors: kCorruption for an unknown kind, reserved bits, a payload shorter or longer than its
/// fields, and for values out of range.
Result<Edit> read_edit(Reader& reader);

}  // namespace vectolith::format
