// Chains of steps that make each row from the same row of what the steps before made: the steps of a recurrent network,
// whose sequences know nothing of each other.
//
// Step by step, all threads would meet after every product and every pointwise region, hundreds of times in a network,
// each time for some microseconds of work. In a chain a thread takes some rows through all of the steps, and finds in
// its own caches what it has just made.
#pragma once

#include <vector>

#include "plugin/host/executable_host.h"
#include "plugin/host/plan_memory_host.h"

namespace mps {

// Makes one step of every such chain. Temporaries that only a chain knows share places within it where they follow one
// another and their rows lie alike: a thread then overwrites nothing but rows of its own.
void chain_rows(HostPlan* plan, std::vector<PlanTemporary>* temporaries);

}  // namespace mps
