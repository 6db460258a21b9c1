#include "plugin/host/row_chains_host.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "plugin/host/threads.h"
#include "plugin/host/tile_kernels.h"

namespace mps {
namespace {

// Rows that a product makes at once; fewer cost as much.
constexpr int64_t kRowsAtOnce = kTileStrip / 2;
// A chain ends when it takes about so long on one thread: then a thread that comes late can take part in the next.
constexpr uint64_t kLongest = 400'000;  // ns

constexpr int64_t divide_up(int64_t x, int64_t y) { return (x + y - 1) / y; }

class RowChainStep final : public PlanStep {
 public:
  RowChainStep(std::vector<std::unique_ptr<PlanStep>> steps, int64_t rows)
      : steps_(std::move(steps)),
        rows_(rows),
        rows_at_once_(divide_up(divide_up(rows, thread_count()), kRowsAtOnce) * kRowsAtOnce) {
    for (const auto& step : steps_) {
      for (const Read& read : step->reads) reads.push_back({read.slot, false});
      writes.insert(writes.end(), step->writes.begin(), step->writes.end());
    }
  }
  void run(char* const* slots) const override {
    parallel_for(divide_up(rows_, rows_at_once_), 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i * rows_at_once_, end = std::min(rows_, begin + rows_at_once_);
        for (const auto& step : steps_) step->run_rows(slots, rows_, begin, end);
      }
    });
  }
  uint64_t cost_ns() const override {
    uint64_t sum = 0;
    for (const auto& step : steps_) sum += step->cost_ns();
    return sum;
  }
  size_t bytes() const override {
    size_t sum = sizeof *this;
    for (const auto& step : steps_) sum += step->bytes();
    return sum;
  }

 private:
  const std::vector<std::unique_ptr<PlanStep>> steps_;
  const int64_t rows_, rows_at_once_;
};

// How the steps of a chain look at a slot. If one of them writes it, all must agree on whose row each byte is: that of
// number `byte / stride % rows`.
struct SlotUse {
  bool written = false, alike = true;
  int64_t stride = 0;

  bool add(const RowAccess& access, int64_t rows) {
    const int64_t at = access.at.offset_bytes;
    const bool by_rows = access.stride > 0 && at / access.stride % rows == 0 &&
                         at % access.stride + access.bytes <= access.stride && (stride == 0 || stride == access.stride);
    alike = alike && by_rows;
    stride = access.stride;
    written = written || access.writes;
    return alike || !written;
  }
};

// A chain that grows step by step.
class Chain {
 public:
  explicit Chain(int64_t rows) : rows_(rows) {}

  // Whether the step goes on with the chain; else it is as it was.
  bool take(const PlanStep& step) {
    const std::optional<RowAccesses> accesses = step.row_accesses(rows_);
    if (!accesses || cost_ns_ > kLongest) return false;
    std::map<uint32_t, SlotUse> uses = uses_;
    for (const RowAccess& access : *accesses) {
      if (!uses[access.at.slot].add(access, rows_)) return false;
    }
    uses_ = std::move(uses);
    cost_ns_ += step.cost_ns();
    return true;
  }

  int64_t rows() const { return rows_; }
  int64_t stride(uint32_t slot) const { return uses_.at(slot).stride; }

 private:
  const int64_t rows_;
  uint64_t cost_ns_ = 0;
  std::map<uint32_t, SlotUse> uses_;
};

// The first and the last step that touches each slot.
struct Life {
  size_t first = SIZE_MAX, last = 0;
};

std::vector<Life> lives_of(const HostPlan& plan) {
  std::vector<Life> lives(plan.slots);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const auto touch = [&](uint32_t slot) {
      lives[slot].first = std::min(lives[slot].first, i);
      lives[slot].last = i;
    };
    for (const PlanStep::Read& read : plan.steps[i]->reads) touch(read.slot);
    for (uint32_t slot : plan.steps[i]->writes) touch(slot);
  }
  return lives;
}

// Of the temporaries that live within steps [begin, end).
void share_places(const Chain& chain, size_t begin, size_t end, std::vector<Life>* lives,
                  std::vector<PlanTemporary>* temporaries) {
  std::vector<PlanTemporary*> inside;
  for (PlanTemporary& temporary : *temporaries) {
    const Life& life = (*lives)[temporary.slot];
    if (begin <= life.first && life.first <= life.last && life.last < end) inside.push_back(&temporary);
  }
  const auto life_of = [&](const PlanTemporary* temporary) -> Life& { return (*lives)[temporary->slot]; };
  std::sort(inside.begin(), inside.end(), [&](const PlanTemporary* a, const PlanTemporary* b) {
    return std::make_pair(life_of(a).first, a->slot) < std::make_pair(life_of(b).first, b->slot);
  });
  std::set<uint32_t> moved;
  std::map<std::pair<size_t, int64_t>, std::vector<PlanTemporary*>> places;  // by size and how rows lie
  for (PlanTemporary* const temporary : inside) {
    std::vector<PlanTemporary*>& alike = places[{temporary->bytes, chain.stride(temporary->slot)}];
    const auto free = std::find_if(alike.begin(), alike.end(), [&](const PlanTemporary* other) {
      return life_of(other).last < life_of(temporary).first;
    });
    if (free == alike.end()) {
      alike.push_back(temporary);
      continue;
    }
    (*free)->others.push_back(temporary->slot);
    life_of(*free).last = life_of(temporary).last;
    moved.insert(temporary->slot);
  }
  const auto has_moved = [&](const PlanTemporary& temporary) { return moved.count(temporary.slot) != 0; };
  temporaries->erase(std::remove_if(temporaries->begin(), temporaries->end(), has_moved), temporaries->end());
}

}  // namespace

void chain_rows(HostPlan* plan, std::vector<PlanTemporary>* temporaries) {
  std::vector<std::unique_ptr<PlanStep>>& steps = plan->steps;
  // Where there are more threads, they share each product, rows and columns.
  const auto begins = [](const std::unique_ptr<PlanStep>& step) {
    return step->rows() > 0 && divide_up(step->rows(), kRowsAtOnce) >= thread_count();
  };
  if (std::none_of(steps.begin(), steps.end(), begins)) return;
  std::vector<Life> lives = lives_of(*plan);
  std::vector<std::unique_ptr<PlanStep>> chained;
  for (size_t i = 0; i < steps.size();) {
    if (begins(steps[i])) {
      size_t end = i;
      Chain chain(steps[i]->rows());
      while (end < steps.size() && chain.take(*steps[end])) ++end;
      if (end > i + 1) {
        share_places(chain, i, end, &lives, temporaries);
        const auto at = [&](size_t step) {
          return std::make_move_iterator(steps.begin() + static_cast<ptrdiff_t>(step));
        };
        chained.push_back(
            std::make_unique<RowChainStep>(std::vector<std::unique_ptr<PlanStep>>(at(i), at(end)), chain.rows()));
        i = end;
        continue;
      }
    }
    chained.push_back(std::move(steps[i++]));
  }
  steps = std::move(chained);
}

}  // namespace mps
