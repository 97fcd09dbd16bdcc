/// @file
/// The verb `create`: makes an empty store.
#include "command.h"
#include "output.h"
#include "store_access.h"

namespace vectolith::tools {

namespace {

Result<int> run_create(const CommonOptions& common) {
  VECTOLITH_TRY_ASSIGN(const auto store,
                       Store::create(common.directory, make_options(common, Purpose::kWrite)));
  VECTOLITH_TRY(store->close());
  if (common.json) {
    print_json({{"created", common.directory}});
  } else {
    print_line("created store " + common.directory);
  }
  return kExitOk;
}

}  // namespace

void add_create(CLI::App& app, Session& session) {
  auto common = std::make_shared<CommonOptions>();
  CLI::App* verb = add_verb(app, "create", "Makes an empty store in a new or empty directory",
                            "vectolith create /data/store");
  add_directory(*verb, *common);
  add_io(*verb, *common);
  add_json(*verb, *common, "Print JSON");
  on_run<CommonOptions>(verb, session, common, run_create);
}

}  // namespace vectolith::tools
