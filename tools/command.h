/// @file
/// The verbs of the tool and what they share: options, help with an example, and the way to an exit code.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include <CLI/CLI.hpp>

#include <vectolith/format/key.h>
#include <vectolith/format/result.h>

namespace vectolith::tools {

/// Options that most verbs take.
struct CommonOptions {
  std::string directory;
  std::string io = "auto";  ///< Or "uring", "sync".
  bool json = false;
};

/// Scope, chunker and digest as they stand on a command line.
struct KeyArguments {
  std::string digest_hex;
  std::uint32_t scope = 0;
  std::uint32_t chunker = 0;
  /// Errors: kInvalidArgument naming what is wrong with the digest.
  [[nodiscard]] Result<Key> key() const;
};

/// What the process exits with, set by the verb that ran.
struct Session {
  int exit_code = 0;
};

/// A verb with its one-line description and an example at the end of its help.
CLI::App* add_verb(CLI::App& parent, const std::string& name, const std::string& description,
                   const std::string& example);
void add_directory(CLI::App& verb, CommonOptions& common);
void add_io(CLI::App& verb, CommonOptions& common);
void add_json(CLI::App& verb, CommonOptions& common, const std::string& description);
void add_key(CLI::App& verb, KeyArguments& key);

/// Runs `body`, reports its error and sets the exit code. What foreign code throws becomes an error here.
void run_verb(Session& session, const std::function<Result<int>()>& body);

/// Lets `verb` run `run(arguments)` once its command line was read.
template <class Arguments>
void on_run(CLI::App* verb, Session& session, std::shared_ptr<Arguments> arguments,
            Result<int> (*run)(const Arguments&)) {
  verb->callback([&session, arguments = std::move(arguments), run] {
    run_verb(session, [&] { return run(*arguments); });
  });
}

void add_create(CLI::App& app, Session& session);
void add_family(CLI::App& app, Session& session);
void add_import(CLI::App& app, Session& session);
void add_export(CLI::App& app, Session& session);
void add_get(CLI::App& app, Session& session);
void add_put(CLI::App& app, Session& session);
void add_erase(CLI::App& app, Session& session);
void add_scan(CLI::App& app, Session& session);
void add_stats(CLI::App& app, Session& session);
void add_sync(CLI::App& app, Session& session);
void add_inspect(CLI::App& app, Session& session);
void add_fsck(CLI::App& app, Session& session);
void add_scrub(CLI::App& app, Session& session);
void add_salvage(CLI::App& app, Session& session);
void add_verify(CLI::App& app, Session& session);
void add_stress(CLI::App& app, Session& session);
void add_bench(CLI::App& app, Session& session);

}  // namespace vectolith::tools
