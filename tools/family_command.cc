/// @file
/// The verb `family`: create, list and drop the families of a store.
#include "command.h"
#include "output.h"
#include "store_access.h"

namespace vectolith::tools {

namespace {

struct FamilyArguments {
  CommonOptions common;
  std::string name;
  ModelSpec spec;
  std::string dtype = "f32";
  std::string metric = "cosine";
  std::string role = "document";
  bool records = false;
};

std::string describe_spec(const FamilyInfo& family) {
  if (family.kind == format::SegmentKind::kRecord) return "records";
  std::string text = std::to_string(family.spec.dim) + " x ";
  text.append(to_string(family.spec.dtype)).append(" ").append(to_string(family.spec.metric));
  if (family.spec.unit_norm) text += " unit-norm";
  if (!family.spec.model.empty()) text += " model=" + family.spec.model;
  if (!family.spec.revision.empty()) text += " revision=" + family.spec.revision;
  if (!family.spec.parameters.empty()) text += " parameters=" + family.spec.parameters;
  if (family.spec.role != Role::kDocument) text.append(" role=").append(to_string(family.spec.role));
  return text;
}

Json family_json(const FamilyInfo& family) {
  Json json = {{"id", family.id.value}, {"name", family.name}, {"rows", family.rows}};
  if (family.kind == format::SegmentKind::kRecord) {
    json["kind"] = "record";
    return json;
  }
  json["kind"] = "vector";
  json["dim"] = family.spec.dim;
  json["dtype"] = to_string(family.spec.dtype);
  json["metric"] = to_string(family.spec.metric);
  json["unit_norm"] = family.spec.unit_norm;
  json["model"] = family.spec.model;
  json["revision"] = family.spec.revision;
  json["parameters"] = family.spec.parameters;
  json["role"] = to_string(family.spec.role);
  json["fingerprint"] = hex_bytes(format::fingerprint(family.spec).bytes);
  return json;
}

Result<ModelSpec> spec_of(const FamilyArguments& arguments) {
  ModelSpec spec = arguments.spec;
  // The command line was checked against the names that these functions know.
  spec.dtype = parse_dtype(arguments.dtype).value_or(Dtype::kF32);
  spec.metric = parse_metric(arguments.metric).value_or(Metric::kCosine);
  spec.role = parse_role(arguments.role).value_or(Role::kDocument);
  VECTOLITH_TRY(format::check_model_spec(spec));
  return spec;
}

Result<FamilyId> make_family(Store& store, const FamilyArguments& arguments) {
  if (arguments.records) {
    VECTOLITH_TRY_ASSIGN(const auto family, store.record_family(arguments.name));
    return family.id();
  }
  VECTOLITH_TRY_ASSIGN(const auto spec, spec_of(arguments));
  VECTOLITH_TRY_ASSIGN(const auto family, store.family(arguments.name, spec));
  return family.id();
}

Result<int> run_create(const FamilyArguments& arguments) {
  if (!arguments.records && arguments.spec.dim == 0) {
    return fail(ErrorCode::kInvalidArgument, "a vector family needs --dim (or give --records)");
  }
  VECTOLITH_TRY_ASSIGN(auto reached, open_store(arguments.common, Purpose::kWrite));
  const auto made = make_family(*reached.store, arguments);
  VECTOLITH_TRY(
      close_after(reached, made.has_value() ? Result<int>(kExitOk) : std::unexpected(made.error())));
  if (arguments.common.json) {
    print_json({{"family", arguments.name}, {"id", made->value}});
  } else {
    print_line("family " + arguments.name + " has id " + std::to_string(made->value));
  }
  return kExitOk;
}

Result<int> run_list(const FamilyArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(auto reached, reach_store(arguments.common, Purpose::kRead));
  VECTOLITH_TRY_ASSIGN(const auto families, families_of(reached));
  Json list = Json::array();
  for (const auto& family : families) {
    if (arguments.common.json) {
      list.push_back(family_json(family));
    } else {
      print_line(family.name + "  " + with_commas(family.rows) + " rows  " + describe_spec(family));
    }
  }
  if (arguments.common.json) {
    print_json(list);
  } else if (families.empty()) {
    print_line("no families; make one with 'vectolith family create'");
  }
  return close_after(reached, kExitOk);
}

Result<int> run_drop(const FamilyArguments& arguments) {
  VECTOLITH_TRY_ASSIGN(auto reached, open_store(arguments.common, Purpose::kWrite));
  const auto dropped = reached.store->drop_family(arguments.name);
  VECTOLITH_TRY(
      close_after(reached, dropped.has_value() ? Result<int>(kExitOk) : std::unexpected(dropped.error())));
  if (arguments.common.json) {
    print_json({{"dropped", arguments.name}});
  } else {
    print_line("dropped family " + arguments.name);
  }
  return kExitOk;
}

void add_family_create(CLI::App& parent, Session& session) {
  auto arguments = std::make_shared<FamilyArguments>();
  CLI::App* verb = add_verb(parent, "create", "Makes a family, or checks that it exists with this spec",
                            "vectolith family create /data/store docs --dim 768 --dtype f32 --unit-norm");
  add_directory(*verb, arguments->common);
  verb->add_option("NAME", arguments->name, "Name of the family")->required();
  verb->add_option("--dim", arguments->spec.dim, "Elements of a vector")->check(CLI::Range(1U, kDimMax));
  verb->add_option("--dtype", arguments->dtype, "Element type")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "i8", "u8", "b1"}))
      ->capture_default_str();
  verb->add_option("--metric", arguments->metric, "How vectors are compared")
      ->check(CLI::IsMember({"cosine", "dot", "l2"}))
      ->capture_default_str();
  verb->add_flag("--unit-norm", arguments->spec.unit_norm, "Every vector has norm 1; checked at put");
  verb->add_option("--model", arguments->spec.model, "Model id");
  verb->add_option("--revision", arguments->spec.revision, "Revision of the weights");
  verb->add_option("--parameters", arguments->spec.parameters,
                   "Prompt, pooling, truncation: any canonical text");
  verb->add_option("--role", arguments->role, "Which side of a retrieval it embeds")
      ->check(CLI::IsMember({"document", "query"}))
      ->capture_default_str();
  verb->add_flag("--records", arguments->records, "Make a family of variable-length records instead");
  add_io(*verb, arguments->common);
  add_json(*verb, arguments->common, "Print JSON");
  on_run<FamilyArguments>(verb, session, arguments, run_create);
}

}  // namespace

void add_family(CLI::App& app, Session& session) {
  CLI::App* family =
      add_verb(app, "family", "Makes, lists and drops families", "vectolith family list /data/store");
  family->require_subcommand(1);
  add_family_create(*family, session);

  auto list = std::make_shared<FamilyArguments>();
  CLI::App* list_verb = add_verb(*family, "list", "Lists the families with their specs and rows",
                                 "vectolith family list /data/store --json");
  add_directory(*list_verb, list->common);
  add_io(*list_verb, list->common);
  add_json(*list_verb, list->common, "Print one JSON array");
  on_run<FamilyArguments>(list_verb, session, list, run_list);

  auto drop = std::make_shared<FamilyArguments>();
  CLI::App* drop_verb = add_verb(*family, "drop", "Drops a family and all that is in it",
                                 "vectolith family drop /data/store docs");
  add_directory(*drop_verb, drop->common);
  drop_verb->add_option("NAME", drop->name, "Name of the family")->required();
  add_io(*drop_verb, drop->common);
  add_json(*drop_verb, drop->common, "Print JSON");
  on_run<FamilyArguments>(drop_verb, session, drop, run_drop);
}

}  // namespace vectolith::tools
