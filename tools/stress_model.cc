/// @file
/// Values and records of `stress`.
#include "stress_model.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <unistd.h>

#include "input_file.h"

namespace vectolith::tools {

namespace {

constexpr std::uint64_t kGoldenGamma = 0x9E3779B97F4A7C15U;

float element(std::uint64_t base, std::uint64_t index) noexcept {
  const std::uint64_t u = splitmix64(base + index);
  return static_cast<float>(u >> 40) / 8'388'608.0F - 1.0F;
}

std::uint64_t base_of(std::uint64_t seed, std::uint64_t key, std::uint64_t version) noexcept {
  return seed + kGoldenGamma * (key * 1'000'003 + version);
}

}  // namespace

std::uint64_t splitmix64(std::uint64_t x) noexcept {
  x += kGoldenGamma;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
  x = (x ^ x >> 27) * 0x94D049BB133111EBU;
  return x ^ x >> 31;
}

std::uint64_t SplitMix::next() noexcept {
  const std::uint64_t value = splitmix64(state_);
  state_ += kGoldenGamma;
  return value;
}

Key stress_key(std::uint64_t key) noexcept {
  return {.digest = Digest::from_number(key + 1), .scope = {}, .chunker = {}};
}

std::optional<std::uint64_t> stress_key_number(const Key& key, std::uint64_t keys) noexcept {
  std::uint64_t number = 0;
  std::memcpy(&number, key.digest.bytes.data(), sizeof(number));
  if (number == 0 || number > keys || key != stress_key(number - 1)) return std::nullopt;
  return number - 1;
}

ModelSpec stress_spec(std::uint32_t dim) {
  ModelSpec spec;
  spec.dim = dim;
  return spec;
}

void fill_version(std::uint64_t seed, std::uint64_t key, std::uint64_t version,
                  std::span<float> vector) noexcept {
  const std::uint64_t base = base_of(seed, key, version);
  for (std::size_t j = 0; j < vector.size(); ++j) vector[j] = element(base, j);
}

bool is_version(std::uint64_t seed, std::uint64_t key, std::uint64_t version,
                std::span<const std::byte> bytes) {
  const std::uint64_t base = base_of(seed, key, version);
  for (std::size_t j = 0; j * sizeof(float) < bytes.size(); ++j) {
    const auto value = std::bit_cast<std::array<std::byte, sizeof(float)>>(element(base, j));
    if (std::memcmp(bytes.data() + j * sizeof(float), value.data(), value.size()) != 0) return false;
  }
  return true;
}

std::optional<std::uint64_t> find_version(std::uint64_t seed, std::uint64_t key, std::uint64_t versions_end,
                                          std::span<const std::byte> bytes) {
  for (std::uint64_t version = versions_end; version-- > 0;) {
    if (is_version(seed, key, version, bytes)) return version;
  }
  return std::nullopt;
}

Result<void> write_stress_record(int fd, const StressRecord& record) {
  if (fd < 0) return {};
  for (;;) {
    const auto written = ::write(fd, &record, sizeof(record));
    if (written == static_cast<ssize_t>(sizeof(record))) return {};
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      // The checker gave us a pipe that does not block: wait until it has read some.
      pollfd waited{.fd = fd, .events = POLLOUT, .revents = 0};
      (void)::poll(&waited, 1, -1);
      continue;
    }
    const int cause = written < 0 ? errno : 0;
    return std::unexpected(
        Error(ErrorCode::kIo, "cannot write a record to descriptor " + std::to_string(fd)).with_errno(cause));
  }
}

Result<std::vector<StressRecord>> read_stress_records(const std::string& path) {
  VECTOLITH_TRY_ASSIGN(const auto file, InputFile::open(path));
  const std::uint64_t records = file.size() / sizeof(StressRecord);
  if (file.size() % sizeof(StressRecord) != 0) {
    return std::unexpected(Error(ErrorCode::kCorruption, "the file ends within a record")
                               .with_file(path)
                               .with_offset(records * sizeof(StressRecord))
                               .with_expected("a multiple of 24 bytes")
                               .with_found(std::to_string(file.size()) + " bytes"));
  }
  std::vector<StressRecord> read(static_cast<std::size_t>(records));
  VECTOLITH_TRY(file.read_exact(0, std::as_writable_bytes(std::span(read))));
  for (std::size_t i = 0; i < read.size(); ++i) {
    const bool known = read[i].op == StressOp::kPut || read[i].op == StressOp::kErase;
    const bool zero = std::ranges::all_of(read[i].zero, [](std::uint8_t byte) { return byte == 0; });
    if (known && zero && (read[i].level == 1 || read[i].level == 2)) continue;
    return std::unexpected(Error(ErrorCode::kCorruption, "record " + std::to_string(i) + " is none of stress")
                               .with_file(path)
                               .with_offset(i * sizeof(StressRecord)));
  }
  return read;
}

}  // namespace vectolith::tools
