/// @file
/// The verb `stats`: counters and sizes of a store.
#include "command.h"
#include "output.h"
#include "store_access.h"

namespace vectolith::tools {

namespace {

Json family_json(const FamilyStats& family) {
  return {{"id", family.id.value},
          {"name", family.name},
          {"kind", family.kind == format::SegmentKind::kVector ? "vector" : "record"},
          {"live_rows", family.live_rows},
          {"dead_rows", family.dead_rows},
          {"segments", family.segments},
          {"payload_bytes", family.payload_bytes},
          {"allocated_bytes", family.allocated_bytes},
          {"index_bytes", family.index_bytes}};
}

Json rejected_json(const StoreStats& stats) {
  Json json = Json::object();
  for (std::size_t i = 0; i < stats.rejected.size(); ++i) {
    json[std::string(to_string(static_cast<RejectReason>(i)))] = stats.rejected[i];
  }
  return json;
}

Json stats_json(const StoreStats& stats) {
  Json families = Json::array();
  for (const auto& family : stats.families) families.push_back(family_json(family));
  return {{"io_backend", stats.io_backend},
          {"io_fallback", stats.io_fallback},
          {"read_only", stats.read_only},
          {"next_sequence", stats.next_sequence},
          {"manifest_version", stats.manifest_version},
          {"puts", stats.puts},
          {"puts_existing", stats.puts_existing},
          {"replaces", stats.replaces},
          {"erases", stats.erases},
          {"gets", stats.gets},
          {"hits", stats.hits},
          {"misses", stats.misses},
          {"rejected", rejected_json(stats)},
          {"commits", stats.commits},
          {"commit_rows", stats.commit_rows},
          {"corruptions", stats.corruptions},
          {"rows_lost", stats.rows_lost},
          {"segments_poisoned", stats.segments_poisoned},
          {"vector_bytes_written", stats.vector_bytes_written},
          {"bytes_written", stats.bytes_written},
          {"bytes_read", stats.bytes_read},
          {"writes", stats.writes},
          {"reads", stats.reads},
          {"data_syncs", stats.data_syncs},
          {"data_sync_ns", stats.data_sync_ns},
          {"short_transfers", stats.short_transfers},
          {"io_retries", stats.io_retries},
          {"io_fallbacks", stats.io_fallbacks},
          {"pinned_bytes", stats.pinned_bytes},
          {"read_buffer_bytes", stats.read_buffer_bytes},
          {"disk_bytes", stats.disk_bytes},
          {"pool_bytes", stats.pool_bytes},
          {"open_ns", stats.open_ns},
          {"recovered_rows", stats.recovered_rows},
          {"damaged_rows", stats.damaged_rows},
          {"families", std::move(families)}};
}

void print_stats(const StoreStats& stats) {
  std::string backend = stats.io_backend;
  if (!stats.io_fallback.empty()) backend += " (" + stats.io_fallback + ")";
  print_line("io           " + backend);
  print_line("open         " + fixed(static_cast<double>(stats.open_ns) / 1e6, 1) + " ms, " +
             with_commas(stats.recovered_rows) + " rows recovered, " + with_commas(stats.damaged_rows) +
             " damaged");
  print_line("disk         " + human_bytes(stats.disk_bytes) + ", pool " + human_bytes(stats.pool_bytes));
  print_line("order        next sequence " + with_commas(stats.next_sequence) + ", manifest version " +
             with_commas(stats.manifest_version));
  print_line("since open   " + with_commas(stats.puts) + " puts, " + with_commas(stats.replaces) +
             " replaces, " + with_commas(stats.erases) + " erases, " + with_commas(stats.hits) + " hits, " +
             with_commas(stats.misses) + " misses");
  print_line("commits      " + with_commas(stats.commits) + " of " + with_commas(stats.commit_rows) +
             " rows, " + with_commas(stats.data_syncs) + " barriers");
  print_line("written      " + human_bytes(stats.bytes_written) + " for " +
             human_bytes(stats.vector_bytes_written) + " of vectors; read " + human_bytes(stats.bytes_read));
  print_line("trouble      " + with_commas(stats.corruptions) + " corruptions, " +
             with_commas(stats.rows_lost) + " rows lost, " + with_commas(stats.segments_poisoned) +
             " segments poisoned");
  for (const auto& family : stats.families) {
    print_line("family       " + family.name + ": " + with_commas(family.live_rows) + " live rows, " +
               with_commas(family.dead_rows) + " dead, " + with_commas(family.segments) + " segments, " +
               human_bytes(family.payload_bytes) + " payload on " + human_bytes(family.allocated_bytes) +
               " of disk, index " + human_bytes(family.index_bytes));
  }
}

Result<int> run_stats(const CommonOptions& common) {
  VECTOLITH_TRY_ASSIGN(auto reached, reach_store(common, Purpose::kRead));
  Result<StoreStats> stats = reached.remote.has_value() ? reached.remote->stats() : reached.store->stats();
  if (!stats.has_value()) return std::unexpected(std::move(stats).error());
  if (common.json) {
    print_json(stats_json(*stats));
  } else {
    print_stats(*stats);
  }
  return close_after(reached, kExitOk);
}

}  // namespace

void add_stats(CLI::App& app, Session& session) {
  auto common = std::make_shared<CommonOptions>();
  CLI::App* verb = add_verb(app, "stats", "Counters and sizes, also of a store that another process has open",
                            "vectolith stats /data/store --json");
  add_directory(*verb, *common);
  add_io(*verb, *common);
  add_json(*verb, *common, "Print one JSON object");
  on_run<CommonOptions>(verb, session, common, run_stats);
}

}  // namespace vectolith::tools
