/// @file
/// Makes and removes temporary directories, and reads and writes whole files.
#include "support/temp_directory.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include <unistd.h>

#include <vectolith/format/file_name.h>

namespace vectolith::testing {
namespace {

[[noreturn]] void give_up(const std::string& what) {
  std::cerr << what << '\n';
  std::abort();
}

/// The files of a directory, with the bytes of those that are manifests.
std::map<std::string, std::string> names_and_manifests(const std::string& path) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().filename();
    const auto parsed = format::parse_name(name);
    const bool manifest = parsed.has_value() && parsed->kind == format::ParsedName::Kind::kManifest;
    auto& bytes = files[name];
    if (!manifest) continue;
    std::ifstream in(entry.path(), std::ios::binary);  // Not read_file: it may be gone meanwhile.
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  return files;
}

std::string default_base() {
  const char* base = std::getenv("TMPDIR");
  return base == nullptr ? "/tmp" : base;
}

}  // namespace

TempDirectory::TempDirectory() : TempDirectory(default_base()) {}

TempDirectory::TempDirectory(const std::string& base) : path_(base + "/vectolith-test-XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr) give_up("cannot create " + path_);
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string memory_base() { return std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : default_base(); }

std::shared_ptr<engine::Environment> test_environment() {
  const char* wanted = std::getenv("VECTOLITH_IO");
  const std::string_view name = wanted == nullptr ? "auto" : wanted;
  const auto choice = name == "uring"  ? engine::BackendChoice::kUring
                      : name == "sync" ? engine::BackendChoice::kSync
                                       : engine::BackendChoice::kAuto;
  auto environment = engine::make_environment(choice);
  if (!environment && choice == engine::BackendChoice::kUring) {
    std::cout << "no io_uring here: " << environment.error().to_string() << '\n';
    environment = engine::make_environment(engine::BackendChoice::kSync);
  }
  if (!environment) give_up(environment.error().to_string());
  return *std::move(environment);
}

std::vector<std::byte> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) give_up("cannot read " + path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

void write_file(const std::string& path, const std::vector<std::byte>& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) give_up("cannot write " + path);
}

void copy_files(const std::string& from, const std::string& to) {
  // An open store's maintainer may add a file between the listing and the copy of the manifest that names
  // it, which no crash could leave: copy again until the manifest stood still meanwhile.
  for (auto before = names_and_manifests(from);;) {
    for (const auto& [name, manifest] : before) {
      std::error_code error;
      std::filesystem::copy_file(std::filesystem::path(from) / name, std::filesystem::path(to) / name,
                                 std::filesystem::copy_options::overwrite_existing, error);
      if (error && error != std::errc::no_such_file_or_directory) give_up("cannot copy " + name);
    }
    auto after = names_and_manifests(from);
    if (after == before) return;
    for (const auto& [name, manifest] : before) std::filesystem::remove(std::filesystem::path(to) / name);
    before = std::move(after);
  }
}

}  // namespace vectolith::testing
