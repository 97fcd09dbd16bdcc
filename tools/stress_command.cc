/// @file
/// The verb `stress`: a workload that an outside checker can judge, and our own judge of it.
#include "stress_model.h"

namespace vectolith::tools {

namespace {

Result<int> run(const StressArguments& arguments) {
  if (arguments.verify) return verify_stress(arguments);
  if (arguments.first_versions.size() > 1) {
    return fail(ErrorCode::kInvalidArgument, "a run has one --first-version; only --verify takes several");
  }
  return run_stress(arguments);
}

void add_workload(CLI::App& verb, StressArguments& arguments) {
  verb.add_option("--seed", arguments.seed, "Seed of values and choices")->capture_default_str();
  verb.add_option("--ops", arguments.ops, "Operations in all, reads included")->capture_default_str();
  verb.add_option("--keys", arguments.keys, "Keys 0 to K - 1")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))
      ->capture_default_str();
  verb.add_option("--dim", arguments.dim, "Elements of a vector")
      ->check(CLI::Range(1U, kDimMax))
      ->capture_default_str();
  verb.add_option("--threads", arguments.threads, "Threads; thread t owns the keys k with k mod T = t")
      ->check(CLI::Range(1U, 1'024U))
      ->capture_default_str();
  verb.add_option("--level", arguments.level, "When a write is acknowledged")
      ->check(CLI::IsMember({"buffered", "durable"}))
      ->capture_default_str();
  verb.add_option("--erase-ratio", arguments.erase_ratio, "Share of operations on present keys that erase")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb.add_option("--replace-ratio", arguments.replace_ratio, "Share of the others that replace")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  verb.add_option("--segment-bytes", arguments.segment_bytes, "Size of the first segment; later ones grow")
      ->check(CLI::Range(std::uint64_t{1} << 16, std::uint64_t{256} << 20))
      ->capture_default_str();
}

void add_logs(CLI::App& verb, StressArguments& arguments) {
  verb.add_option("--first-version", arguments.first_versions,
                  "First version of each key; for --verify those of all runs in the ack file")
      ->allow_extra_args(false);
  CLI::Option* ack = verb.add_option("--ack-fd", arguments.ack_fd,
                                     "Descriptor that gets a 24-byte record after each acknowledgement");
  CLI::Option* intent = verb.add_option("--intent-fd", arguments.intent_fd,
                                        "Descriptor that gets the same record before each write starts");
  CLI::Option* verify = verb.add_flag("--verify", arguments.verify,
                                      "Check the store against --ack-file; exits 3 on a violation");
  CLI::Option* ack_file = verb.add_option("--ack-file", arguments.ack_file, "What was written to --ack-fd");
  CLI::Option* intent_file = verb.add_option("--intent-file", arguments.intent_file,
                                             "What was written to --intent-fd: makes the check exact");
  CLI::Option* recover = verb.add_flag("--recover", arguments.recover,
                                       "Verify with the store open for writing, recovery completed");
  verify->needs(ack_file)->excludes(ack)->excludes(intent);
  ack_file->needs(verify);
  intent_file->needs(verify);
  recover->needs(verify);
}

}  // namespace

void add_stress(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<StressArguments>();
  CLI::App* verb =
      add_verb(app, "stress", "Puts, replaces, erases and reads what a checker can predict, or verifies it",
               "vectolith stress /data/store --seed 1 --ops 100000 --threads 4 --ack-fd 3 3>acks\n"
               "  vectolith stress /data/store --seed 1 --threads 4 --verify --ack-file acks");
  add_directory(*verb, arguments->common);
  add_workload(*verb, *arguments);
  add_logs(*verb, *arguments);
  add_io(*verb, arguments->common);
  add_json(*verb, arguments->common, "Print the counts as JSON");
  verb->callback([&session, arguments, verb] {
    arguments->threads_given = verb->count("--threads") > 0;
    run_verb(session, [&] { return run(*arguments); });
  });
}

}  // namespace vectolith::tools
