/// @file
/// Draws the profile of a run.
#include "support/sim/sim_profile.h"

#include <initializer_list>

namespace vectolith::testing::sim {

SimProfile draw_profile(Choices& choices) {
  const auto choose = [&](std::initializer_list<std::uint64_t> of) {
    return *(of.begin() + choices.below(of.size()));
  };
  SimProfile profile;
  profile.operations_max = choose({6, 20, 60, 60, 150});
  profile.segment_bytes = choose({64, 64, 128, 256}) << 10;
  profile.keys = choose({3, 12, 40, 100});
  profile.durable_percent = static_cast<unsigned>(choose({0, 30, 70, 100}));
  profile.replace_percent = static_cast<unsigned>(choose({0, 30, 80}));
  profile.async_percent = static_cast<unsigned>(choose({0, 20, 60}));
  profile.power_percent = static_cast<unsigned>(choose({0, 50, 80, 100}));
  const bool with_errors = choices.one_in(3);
  profile.error_one_in = with_errors ? choose({8, 15, 40, 150}) : 0;
  profile.errors_hit = static_cast<unsigned>(choices.below(3));
  profile.cut_one_in = choices.one_in(3) ? choose({3, 10, 50}) : 0;
  profile.capacity_bytes = choices.one_in(10) ? choose({5, 6, 9, 12}) << 20 : std::uint64_t{1} << 40;
  profile.tear_bytes = choose({512, 512, 4096});
  profile.many_names = choices.one_in(6);
  profile.with_damage = choices.one_in(3);
  profile.repeat_recovery = choices.one_in(6);
  return profile;
}

}  // namespace vectolith::testing::sim
