/// @file
/// The oracle: what a simulated store was asked to hold, family by family and key by key.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <vectolith/format/model_spec.h>
#include <vectolith/store.h>

#include "support/sim/key_history.h"

namespace vectolith::testing::sim {

/// A sentence of the contract that does not hold.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One family as the oracle knows it.
struct FamilyModel {
  std::uint64_t number = 0;  ///< Part of every value; a family made anew gets a new one.
  std::string name;
  bool holds_records = false;
  ModelSpec spec;
  bool exists = false;
  bool is_in_doubt = false;  ///< A crash fell into its creation or its drop.
  std::map<std::uint64_t, KeyHistory> keys;
  std::optional<Family> vectors;  ///< The open handle, if there is one.
  std::optional<RecordFamily> records;
};

/// A batch whose members must come back together or not at all.
struct BatchModel {
  struct Member {
    std::size_t family;
    std::uint64_t number;  ///< FamilyModel::number: members of a family that is gone do not count.
    std::uint64_t key;
    std::size_t step;
  };
  std::vector<Member> members;
};

/// What a key was found to hold: its version, 0 for nothing; or that its row is damaged.
struct Found {
  std::uint64_t version = 0;
  bool is_corrupt = false;
};

Key sim_key(std::uint64_t number);
/// The value of a version. Shapes: as the family's spec.
std::vector<std::byte> sim_value(const FamilyModel& family, std::uint64_t key, std::uint64_t version);
/// Reads a key. Throws Violation if what it holds is no version it was ever given.
/// `scope` null: by a read that takes locks. Returns nothing if the read failed with an I/O error.
std::optional<Found> find_key(const FamilyModel& family, std::uint64_t key, const ReadScope* scope,
                              Durability min_durability = Durability::kBuffered);
/// "family f0, key 7: steps ..." for messages.
std::string describe(const FamilyModel& family, std::uint64_t key);

}  // namespace vectolith::testing::sim
