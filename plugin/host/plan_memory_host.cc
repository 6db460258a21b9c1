#include "plugin/host/plan_memory_host.h"

#include <algorithm>

namespace mps {
namespace {

constexpr size_t kTemporaryAlignment = 64;

struct Life {
  PlanTemporary of;
  size_t first_step, last_step = 0;
  size_t offset = 0;
};

}  // namespace

void place_temporaries(HostPlan* plan, std::vector<PlanTemporary> temporaries) {
  std::vector<Life> lives;
  for (const PlanTemporary& temporary : temporaries) lives.push_back({temporary, plan->steps.size()});
  std::vector<Life*> by_slot(plan->slots, nullptr);
  for (Life& life : lives) {
    by_slot[life.of.slot] = &life;
    for (uint32_t slot : life.of.others) by_slot[slot] = &life;
  }
  for (size_t i = 0; i < plan->steps.size(); ++i) {
    const auto touch = [&](uint32_t slot) {
      if (by_slot[slot] == nullptr) return;
      by_slot[slot]->first_step = std::min(by_slot[slot]->first_step, i);
      by_slot[slot]->last_step = i;
    };
    for (const PlanStep::Read& read : plan->steps[i]->reads) touch(read.slot);
    for (uint32_t slot : plan->steps[i]->writes) touch(slot);
  }
  std::vector<Life> placed;  // by offset
  std::stable_sort(lives.begin(), lives.end(), [](const Life& a, const Life& b) { return a.of.bytes > b.of.bytes; });
  for (Life& life : lives) {
    size_t offset = 0;
    for (const Life& other : placed) {
      const bool meet = life.first_step <= other.last_step && other.first_step <= life.last_step;
      if (!meet || other.offset + other.of.bytes <= offset) continue;
      if (offset + life.of.bytes <= other.offset) break;
      offset = (other.offset + other.of.bytes + kTemporaryAlignment - 1) / kTemporaryAlignment * kTemporaryAlignment;
    }
    life.offset = offset;
    plan->temporaries.push_back({life.of.slot, offset});
    for (uint32_t slot : life.of.others) plan->temporaries.push_back({slot, offset});
    plan->scratch_bytes = std::max(plan->scratch_bytes, offset + life.of.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), life,
                                   [](const Life& a, const Life& b) { return a.offset < b.offset; }),
                  life);
  }
}

void find_conflicts(HostPlan* plan) {
  for (uint32_t result = 0; result < plan->results; ++result) {
    std::vector<bool> conflicts(plan->feeds, false);
    bool written = false;
    for (const auto& step : plan->steps) {
      const bool writes =
          std::find(step->writes.begin(), step->writes.end(), plan->feeds + result) != step->writes.end();
      for (const PlanStep::Read& read : step->reads) {
        const bool too_late = written || (writes && !read.elementwise);
        if (read.slot < plan->feeds && too_late) conflicts[read.slot] = true;
      }
      written = written || writes;
    }
    for (uint32_t feed = 0; feed < plan->feeds; ++feed) {
      if (conflicts[feed]) plan->conflicts.push_back({result, feed});
    }
  }
}

}  // namespace mps
