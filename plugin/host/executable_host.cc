#include "plugin/host/executable_host.h"

#include <cstring>
#include <utility>

namespace mps {
namespace {

constexpr uint64_t kRunNs = 50;  // of run() itself

class PlannedExecutable final : public HostExecutable {
 public:
  PlannedExecutable(HostPlan plan, std::shared_ptr<Scratch> scratch)
      : plan_(std::move(plan)), scratch_(std::move(scratch)), cost_ns_(kRunNs), bytes_(sizeof *this) {
    for (const auto& step : plan_.steps) {
      cost_ns_ += step->cost_ns();
      bytes_ += step->bytes();
    }
  }

  uint64_t cost_ns() const override { return cost_ns_; }
  size_t bytes() const override { return bytes_; }

  void run(Span<const HostBinding> feeds, Span<const HostBinding> results) const override {
    SmallVector<char*, 32> slots;
    for (const HostBinding& feed : feeds) slots.push_back(feed.address);
    for (const HostBinding& result : results) slots.push_back(result.address);
    slots.resize(plan_.slots, nullptr);
    for (const HostPlan::Constant& constant : plan_.constants) {
      slots[constant.slot] = reinterpret_cast<char*>(const_cast<uint64_t*>(&constant.bits));
    }
    // A feed that is no memory is a number: its bits are its memory.
    for (size_t i = 0; i < feeds.size(); ++i) {
      if (slots[i] == nullptr) slots[i] = reinterpret_cast<char*>(const_cast<uint64_t*>(&feeds[i].scalar_bits));
    }
    if (plan_.scratch_bytes == 0) {
      run_steps(&slots, results);
    } else {
      const Scratch::Lease lease = scratch_->take(plan_.scratch_bytes);
      for (const HostPlan::Temporary& temporary : plan_.temporaries)
        slots[temporary.slot] = lease.data() + temporary.offset;
      run_steps(&slots, results);
    }
  }

 private:
  void run_steps(SmallVector<char*, 32>* slots, Span<const HostBinding> results) const {
    for (const HostPlan::Conflict& conflict : plan_.conflicts) {
      char* const result = (*slots)[plan_.feeds + conflict.result];
      if (result != nullptr && result == (*slots)[conflict.feed]) return run_aside(slots, results);
    }
    for (const auto& step : plan_.steps) step->run(slots->data());
  }

  // Some result lies where a feed is still needed: results are computed elsewhere and moved there in the end.
  void run_aside(SmallVector<char*, 32>* slots, Span<const HostBinding> results) const {
    std::vector<Scratch::Lease> aside;
    std::vector<std::pair<char*, size_t>> moved;  // by result: its place, its bytes
    for (size_t i = 0; i < results.size(); ++i) {
      char*& slot = (*slots)[plan_.feeds + i];
      moved.emplace_back(slot, slot == nullptr ? 0 : results[i].bytes);
      if (slot == nullptr) continue;
      aside.push_back(scratch_->take(results[i].bytes));
      slot = aside.back().data();
    }
    for (const auto& step : plan_.steps) step->run(slots->data());
    for (size_t i = 0; i < results.size(); ++i) {
      if (moved[i].first != nullptr) std::memcpy(moved[i].first, (*slots)[plan_.feeds + i], moved[i].second);
    }
  }

  const HostPlan plan_;
  const std::shared_ptr<Scratch> scratch_;
  uint64_t cost_ns_;
  size_t bytes_;
};

}  // namespace

std::shared_ptr<const HostExecutable> make_executable(HostPlan plan, std::shared_ptr<Scratch> scratch) {
  return std::make_shared<PlannedExecutable>(std::move(plan), std::move(scratch));
}

}  // namespace mps
