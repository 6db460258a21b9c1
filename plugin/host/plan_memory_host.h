// Where a plan's temporaries lie, once its steps are there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plugin/host/executable_host.h"

namespace mps {

struct PlanTemporary {
  uint32_t slot;
  size_t bytes;
  std::vector<uint32_t> others = {};  // that lie in the same place, one after the other
};

// Temporaries that are not needed at the same time share memory: the largest first, each at the lowest offset where
// nobody else is during its life.
void place_temporaries(HostPlan* plan, std::vector<PlanTemporary> temporaries);

// A result may lie exactly where a feed lies. That is fine if the feed is not read any more when the result is
// written, the elementwise reads of the writing step itself aside.
void find_conflicts(HostPlan* plan);

}  // namespace mps
