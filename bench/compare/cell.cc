/// @file
/// Opens, warms and verifies stores, and measures what they do to memory and disk.
#include "compare/cell.h"

#include <cstring>

#include <unistd.h>

#include "support/machine_counters.h"

namespace vectolith::bench::compare {
namespace {

std::int64_t device_written(const std::filesystem::path& directory) {
  const auto device = device_bytes(directory);
  return device.has_value() ? static_cast<std::int64_t>(device->written) : -1;
}

}  // namespace

const VectorSource& Cell::source() {
  if (!source_.has_value()) source_.emplace(options_.dim);
  return *source_;
}

std::unique_ptr<ComparedStore> Cell::open(Purpose purpose, Durability durability,
                                          std::uint64_t rows_extra) const {
  std::filesystem::create_directories(options_.directory);
  return entry_.open({.directory = options_.directory,
                      .purpose = purpose,
                      .durability = durability,
                      .dim = options_.dim,
                      .rows = options_.rows,
                      .rows_extra = rows_extra,
                      .memory_bytes = options_.memory_bytes});
}

ComparedStore& Cell::warm(std::uint64_t rows_extra) {
  if (warm_ != nullptr) return *warm_;
  // Made before, so that it does not count as the store's.
  (void)source();
  const auto before = memory_of(nullptr);
  warm_ = open(Purpose::kServe, Durability::kBuffered, rows_extra);
  verify_row(*warm_->client(), options_.rows / 2, 0);
  memory_.open_bytes = static_cast<double>(memory_of(warm_.get()) - before);
  verify_all(*warm_, 0);
  memory_.warm_bytes = static_cast<double>(memory_of(warm_.get()) - before);
  return *warm_;
}

Cell::Memory Cell::warm_memory() {
  (void)warm();
  return memory_;
}

void Cell::drop_caches() const {
  if (options_.system_caches) return must_be(drop_system_caches(), "the machine's caches may be dropped");
  drop_cached_files(options_.directory);
}

void Cell::verify_row(Client& client, std::uint64_t row, std::uint64_t version) {
  expected_.resize(vector_bytes());
  source().fill(number_of(row, version), expected_);
  const auto vector = client.get(key_of(row));
  if (vector.size() != expected_.size() ||
      std::memcmp(vector.data(), expected_.data(), expected_.size()) != 0)
    die("row " + std::to_string(row), "is not what was put");
}

void Cell::verify_all(ComparedStore& store, std::uint64_t version) {
  const auto client = store.client();
  for (std::uint64_t row = 0; row < options_.rows; ++row) {
    if (row % kBatchRows == 0) client->refresh();
    verify_row(*client, row, version);
  }
}

std::uint64_t memory_of(const ComparedStore* store) {
  auto bytes = rss_anon_bytes();
  if (store == nullptr) return bytes;
  for (const auto server : store->servers()) bytes += rss_anon_bytes(server);
  return bytes;
}

std::int64_t bytes_read() { return process_io_bytes().read; }

WriteMeter::WriteMeter(const ComparedStore& store, const std::filesystem::path& directory)
    : store_(store), directory_(directory), before_(written()), device_before_(device_written(directory)) {}

std::int64_t WriteMeter::written() const {
  auto bytes = process_io_bytes().written;
  for (const auto server : store_.servers()) bytes += process_io_bytes(server).written;
  return bytes;
}

void WriteMeter::report(Json& figures, std::uint64_t payload_bytes) const {
  const auto payload = static_cast<double>(payload_bytes);
  figures["write_amplification"] = static_cast<double>(written() - before_) / payload;
  if (device_before_ < 0) return;
  // What still waits in the page cache has been written, too.
  ::sync();
  figures["device_write_amplification"] =
      static_cast<double>(device_written(directory_) - device_before_) / payload;
}

}  // namespace vectolith::bench::compare
