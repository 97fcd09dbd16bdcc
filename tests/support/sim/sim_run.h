/// @file
/// What the parts of a run share: its choices, its disk, and what is told of it.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>

#include "support/sim/sim_choices.h"
#include "support/sim/sim_damage.h"
#include "support/sim/sim_disk.h"
#include "support/sim/sim_profile.h"

namespace vectolith::testing::sim {

inline constexpr const char* kSimPath = "/sim";
inline constexpr std::uint64_t kNoLimitBytes = std::uint64_t{1} << 40;

/// What a run did; added up over a campaign.
struct SimCounts {
  std::uint64_t states = 0;          ///< Crashes whose outcome was checked.
  std::uint64_t power_cuts = 0;      ///< Of these; the others are kills.
  std::uint64_t double_crashes = 0;  ///< Crashes inside a recovery.
  std::uint64_t torn_writes = 0;     ///< Crashes with a write under way.
  std::uint64_t io_errors = 0;       ///< Injected errors and cut transfers.
  std::uint64_t damages = 0;         ///< Sectors damaged behind the engine's back.
  std::uint64_t operations = 0;      ///< Calls of the store's API.
  std::uint64_t opens = 0;
  SimCounts& operator+=(const SimCounts& other);
};

/// Lines that say what was done, if they are wanted.
class SimStory {
 public:
  explicit SimStory(bool is_wanted) : is_wanted_(is_wanted) {}
  template <class... Parts>
  void tell(const Parts&... parts) {
    if (is_wanted_) (lines_ << ... << parts) << '\n';
  }
  [[nodiscard]] std::string text() const { return lines_.str(); }

 private:
  bool is_wanted_;
  std::ostringstream lines_;
};

struct SimRun {
  SimRun(Choices from, bool tell_story)
      : choices(from),
        profile(draw_profile(choices)),
        disk(profile.tear_bytes, profile.capacity_bytes),
        story(tell_story) {}

  Choices choices;
  SimProfile profile;
  SimDisk disk;
  SimStory story;
  SimCounts counts;
  Excuse excuse;  ///< For what damage may have done.
};

}  // namespace vectolith::testing::sim
