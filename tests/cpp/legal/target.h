// What the exam of legalisation and its own questions share.
#pragma once

#include "plugin/core/graph.h"
#include "plugin/metal/legal/target.h"

namespace mps::exam {

// The release that this run is for: PADDLE_MPS_DOUBLE_OS (on a Mac the self-test sets it to the Mac's), or 26.0.
legal::Target target();

// Fails unless every node is one that MPSGraph is left to do: the right dtypes, few axes, no method that is too new.
// Asked of everything that the exam compiles.
void expect_legal(const Graph& graph, legal::Target target);

}  // namespace mps::exam
