/// @file
/// The verb `sync`: makes every acknowledged write durable.
#include "command.h"
#include "output.h"
#include "store_access.h"

namespace vectolith::tools {

namespace {

Result<int> sync_store(ReachedStore& reached, const CommonOptions& common) {
  VECTOLITH_TRY(reached.remote.has_value() ? reached.remote->sync() : reached.store->sync());
  if (common.json) {
    print_json({{"durable", true}});
  } else {
    print_line("every write acknowledged before is durable");
  }
  return kExitOk;
}

Result<int> run_sync(const CommonOptions& common) {
  VECTOLITH_TRY_ASSIGN(auto reached, reach_store(common, Purpose::kWrite));
  return close_after(reached, sync_store(reached, common));
}

}  // namespace

void add_sync(CLI::App& app, Session& session) {
  auto common = std::make_shared<CommonOptions>();
  CLI::App* verb = add_verb(
      app, "sync", "Makes every acknowledged write durable, also in the process that has the store open",
      "vectolith sync /data/store");
  add_directory(*verb, *common);
  add_io(*verb, *common);
  add_json(*verb, *common, "Print JSON");
  on_run<CommonOptions>(verb, session, common, run_sync);
}

}  // namespace vectolith::tools
