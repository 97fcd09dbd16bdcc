/// @file
/// Options that verbs share, and the boundary where errors become exit codes.
#include "command.h"

#include <exception>

#include "output.h"

namespace vectolith::tools {

Result<Key> KeyArguments::key() const {
  VECTOLITH_TRY_ASSIGN(const auto digest, Digest::from_hex(digest_hex));
  return Key{.digest = digest, .scope = ScopeId(scope), .chunker = ChunkerId(chunker)};
}

CLI::App* add_verb(CLI::App& parent, const std::string& name, const std::string& description,
                   const std::string& example) {
  CLI::App* verb = parent.add_subcommand(name, description);
  verb->footer("Example:\n  " + example);
  return verb;
}

void add_directory(CLI::App& verb, CommonOptions& common) {
  verb.add_option("DIR", common.directory, "The store's directory")->required();
}

void add_io(CLI::App& verb, CommonOptions& common) {
  verb.add_option("--io", common.io, "I/O backend")
      ->check(CLI::IsMember({"auto", "uring", "sync"}))
      ->capture_default_str();
}

void add_json(CLI::App& verb, CommonOptions& common, const std::string& description) {
  verb.add_flag("--json", common.json, description);
}

void add_key(CLI::App& verb, KeyArguments& key) {
  verb.add_option("HEXDIGEST", key.digest_hex, "Content digest, 64 hexadecimal digits")->required();
  verb.add_option("--scope", key.scope, "Number of the key's scope (tenant); 0 is the default scope");
  verb.add_option("--chunker", key.chunker, "Number of the key's chunker; 0 is none");
}

void run_verb(Session& session, const std::function<Result<int>()>& body) {
  try {
    const auto result = body();
    session.exit_code = result.has_value() ? *result : report_error(result.error());
  } catch (const std::exception& exception) {
    // Only the libraries beneath (JSON, CLI11, memory) throw; theirs must not end in std::terminate.
    session.exit_code = report_error(Error(ErrorCode::kInternal, exception.what()));
  }
}

}  // namespace vectolith::tools
