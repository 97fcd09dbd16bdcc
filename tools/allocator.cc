/// @file
/// Makes mimalloc the allocator of the tool; compiled in where mimalloc is installed and no sanitizer runs.
#include <mimalloc-new-delete.h>  // IWYU pragma: keep
