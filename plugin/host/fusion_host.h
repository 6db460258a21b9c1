// Which pointwise nodes of a graph are computed together.
//
// A fusion is a set of pointwise nodes of one shape whose intermediate values never reach memory. Two nodes may share
// one only if no path between them leaves it: every node has a level, which rises along each edge whose value must
// exist in memory before its user starts, and fusions join nodes of one level. They are joined where one node reads
// another, or where both read the same value from memory.
//
// - The nodes that only a reduction needs form that reduction's prologue.
// - A value of one element is computed again by each fusion that reads it: a program computes it once per run.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "plugin/core/graph.h"

namespace mps {

struct Fusion {
  std::set<uint32_t> nodes;    // ascending, hence operands before users
  std::set<uint32_t> outputs;  // those of them whose values are needed in memory, or by the reduction
};

struct Fusions {
  static constexpr uint32_t kNone = UINT32_MAX;
  std::vector<Fusion> all;
  std::vector<uint32_t> stored_by;    // by pointwise node: the fusion that has it among its outputs
  std::vector<uint32_t> prologue_of;  // by reduction: the fusion of its operand, if it is a prologue
};

// Every node of the graph is needed by some result, as lower() sees to.
Fusions find_fusions(const Graph& graph);

}  // namespace mps
