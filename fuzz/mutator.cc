/// @file
/// libFuzzer's mutation, then sums that hold: in seven of eight inputs, for wrong sums are inputs too.
#include <cstddef>
#include <cstdint>
#include <span>

#include "fuzz_support.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned int seed) {
  const std::size_t mutated = LLVMFuzzerMutate(data, size, size_max);
  if (seed % 8 != 0) vectolith::fuzz::repair(std::as_writable_bytes(std::span(data, mutated)));
  return mutated;
}
