// The specification: a graph evaluated node by node, in plain loops, one element after the other.
//
// PADDLE_MPS_HOST_REFERENCE=1 runs everything this way; the fast path and every other device are tested against it. It
// has no ideas of its own, so that it is obviously right: every value is stored in full, feeds are read before results
// are written.
#pragma once

#include <memory>

#include "plugin/host/executable_host.h"

namespace mps {

std::shared_ptr<const HostExecutable> compile_reference(const Graph& graph);

}  // namespace mps
