/// @file
/// Joins the times of threads and takes percentiles.
#include "compare/timed_loop.h"

namespace vectolith::bench::compare {

Json Timed::figures(std::uint64_t items) const {
  Json figures{
      {"per_s", static_cast<double>(calls * items) / std::chrono::duration<double>(end - begin).count()}};
  auto sorted = sampled_ns;
  std::ranges::sort(sorted);
  const auto add = [&](const char* name, std::size_t beyond_one_of) {
    if (sorted.size() < 10 * beyond_one_of) return;
    figures[name] = sorted[sorted.size() - sorted.size() / beyond_one_of - 1] / 1e3;
  };
  add("p50_us", 2);
  add("p99_us", 100);
  add("p999_us", 1000);
  return figures;
}

Timed timed_threads(unsigned threads, const std::function<std::function<Timed()>(unsigned thread)>& prepare) {
  if (threads == 1) return prepare(0)();
  std::vector<Timed> each(threads);
  std::latch start(threads);
  {
    std::vector<std::jthread> running;
    for (unsigned thread = 0; thread < threads; ++thread) {
      running.emplace_back([&, thread] {
        const auto work = prepare(thread);
        start.arrive_and_wait();
        each[thread] = work();
      });
    }
  }
  Timed all{.begin = std::ranges::min(each, {}, &Timed::begin).begin,
            .end = std::ranges::max(each, {}, &Timed::end).end};
  for (const auto& one : each) {
    all.calls += one.calls;
    all.sampled_ns.insert(all.sampled_ns.end(), one.sampled_ns.begin(), one.sampled_ns.end());
  }
  return all;
}

}  // namespace vectolith::bench::compare
