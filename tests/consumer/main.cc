/// @file
/// A program that links the installed vectolith: stores a vector and finds it again. README.md shows it.
#include <cstdio>
#include <vector>

#include <vectolith/store.h>

namespace {

vectolith::Result<float> store_and_find(const char* directory) {
  VECTOLITH_TRY_ASSIGN(auto store, vectolith::Store::open(directory, {.create_if_missing = true}));
  VECTOLITH_TRY_ASSIGN(auto notes, store->family("notes", {.model = "my-embedder", .dim = 4}));

  const vectolith::Key key{.digest = vectolith::Digest::xxh3("what was embedded")};
  const std::vector<float> embedding = {0.25F, 0.5F, 0.75F, 1.0F};
  VECTOLITH_TRY(notes.put(key, embedding, {.durability = vectolith::Durability::kDurable}));

  const auto scope = store->read_scope();  // what is read through it stays valid until it ends
  VECTOLITH_TRY_ASSIGN(const auto found, notes.get(scope, key));
  if (!found.has_value()) return vectolith::fail(vectolith::ErrorCode::kNotFound, "the vector is not there");
  return found->as<float>()[3];  // no copy was made: the view looks into the segment
}

}  // namespace

int main(int argc, char** argv) {
  const auto last = store_and_find(argc > 1 ? argv[1] : "example-store");
  if (!last.has_value()) return std::fprintf(stderr, "%s\n", last.error().to_string().c_str()), 1;
  std::printf("the last element is %g\n", static_cast<double>(*last));
  return *last == 1.0F ? 0 : 1;
}
