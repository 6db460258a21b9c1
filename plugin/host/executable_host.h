// What HostDevice::compile() returns: something that can be run any number of times, from any thread, at a known price.
// The fast one runs the steps of a plan (plan_host.h); the specification walks the graph (reference_host.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "plugin/core/device.h"
#include "plugin/host/scratch_host.h"
#include "plugin/host/steps_host.h"

namespace mps {

// A feed or result where it lies. Taken from a Binding when work is submitted: its Buffer may be gone when the work
// runs.
struct HostBinding {
  explicit HostBinding(const Binding& from)
      : address(from.range.buffer == nullptr ? nullptr : static_cast<char*>(from.range.address())),
        bytes(from.range.bytes),
        scalar_bits(from.scalar_bits) {}
  HostBinding() = default;

  char* address = nullptr;  // null: empty, or a scalar
  size_t bytes = 0;
  uint64_t scalar_bits = 0;
};

class HostExecutable : public Executable {
 public:
  // Computes the results. Feeds that the graph does not read and results without elements may be empty.
  virtual void run(Span<const HostBinding> feeds, Span<const HostBinding> results) const = 0;
  virtual uint64_t cost_ns() const = 0;  // rough time of run()
};

// Steps over slots. Slots are numbered: the feeds, the results, then constants and temporaries in any order.
struct HostPlan {
  struct Constant {
    uint32_t slot;
    uint64_t bits;  // one element
  };
  struct Temporary {
    uint32_t slot;
    size_t offset;  // in the scratch memory
  };
  // A result that may not lie where this feed lies: some step reads the feed when the result is written already.
  struct Conflict {
    uint32_t result;
    uint32_t feed;
  };
  uint32_t feeds = 0, results = 0, slots = 0;
  std::vector<Constant> constants;
  std::vector<Temporary> temporaries;
  size_t scratch_bytes = 0;
  std::vector<Conflict> conflicts;
  std::vector<std::unique_ptr<PlanStep>> steps;
};

std::shared_ptr<const HostExecutable> make_executable(HostPlan plan, std::shared_ptr<Scratch> scratch);

}  // namespace mps
