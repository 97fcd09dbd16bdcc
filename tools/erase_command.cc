/// @file
/// The verb `erase`: removes the row of one key.
#include "command.h"
#include "output.h"
#include "store_access.h"

namespace vectolith::tools {

namespace {

struct EraseArguments {
  CommonOptions common;
  std::string family;
  KeyArguments key;
  bool durable = false;
};

Result<EraseResult> erase_key(ReachedStore& reached, const FamilyInfo& info, const Key& key,
                              Durability durability) {
  if (reached.remote.has_value()) return reached.remote->erase(info.name, key, durability);
  if (info.kind == format::SegmentKind::kRecord) {
    VECTOLITH_TRY_ASSIGN(auto family, reached.store->existing_record_family(info.name));
    return family.erase(key, durability);
  }
  VECTOLITH_TRY_ASSIGN(auto family, reached.store->family(info.name));
  return family.erase(key, durability);
}

Result<int> erase_from(ReachedStore& reached, const EraseArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(const auto key, arguments.key.key());
  VECTOLITH_TRY_ASSIGN(const auto family, find_family(reached, arguments.family));
  const auto durability = arguments.durable ? Durability::kDurable : Durability::kBuffered;
  VECTOLITH_TRY_ASSIGN(const auto result, erase_key(reached, family, key, durability));
  if (arguments.common.json) {
    print_json({{"existed", result.existed}});
    return result.existed ? kExitOk : kExitNotFound;
  }
  if (!result.existed) {
    return fail(ErrorCode::kNotFound,
                "family '" + arguments.family + "' holds no row " + key.digest.to_hex());
  }
  print_line("erased " + key.digest.to_hex());
  return kExitOk;
}

Result<int> run_erase(const EraseArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(auto reached, reach_store(arguments.common, Purpose::kWrite));
  return close_after(reached, erase_from(reached, arguments));
}

}  // namespace

void add_erase(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<EraseArguments>();
  CLI::App* verb = add_verb(
      app, "erase", "Removes the row of one key; exits 2 if there is none",
      "vectolith erase /data/store docs 0100000000000000000000000000000000000000000000000000000000000000");
  add_directory(*verb, arguments->common);
  verb->add_option("NAME", arguments->family, "Name of the family")->required();
  add_key(*verb, arguments->key);
  verb->add_flag("--durable", arguments->durable, "Return only when the erase survives loss of power");
  add_io(*verb, arguments->common);
  add_json(*verb, arguments->common, "Print JSON");
  on_run<EraseArguments>(verb, session, arguments, run_erase);
}

}  // namespace vectolith::tools
