// The fast executable: a graph turned into a short list of steps over slots of memory.
//
// A slot is a feed, a result, a constant or a temporary; a step is a fused pointwise region, a reduction, a matrix
// product, a copy, or a chain of such (row_chains_host.h). Reshapes, transposes, broadcasts, slices and strided views
// take no step of their own where their reader takes strides: they are a way of looking at a slot. Results are written
// where they belong, temporaries share one block of scratch memory.
#pragma once

#include <memory>

#include "plugin/host/executable_host.h"
#include "plugin/host/scratch_host.h"

namespace mps {

std::shared_ptr<const HostExecutable> compile_plan(const Graph& graph, std::shared_ptr<Scratch> scratch);

}  // namespace mps
