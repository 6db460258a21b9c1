// Legalisation: a graph rewritten so that MPSGraph computes it as device.h says it must be, on a given release of
// macOS. Afterwards every node is one method of MPSGraph on dtypes, sizes and axes that it is known to do right; the
// lowering to Objective-C (lower_metal.mm) only translates. Plain C++ on plain data: the exam runs what it makes on the
// host device, for every release, on any machine.
#pragma once

#include <string>
#include <vector>

#include "plugin/core/graph.h"
#include "plugin/metal/legal/target.h"

namespace mps::legal {

// Where a result of the original graph comes from.
struct Source {
  enum Kind : uint8_t {
    kNothing,  // it has no elements
    kResult,   // result `index` of the legal graph
    kFeed,     // it is feed `index` of the original, byte for byte
  };
  Kind kind = kNothing;
  uint32_t index = 0;
};

struct Legal {
  Graph graph;                  // no result twice, nothing without elements; what find_live() leaves out is not needed
  std::vector<uint32_t> feeds;  // feed i is feed feeds[i] of the original
  std::vector<Source> results;  // one for each of the original
};

// Throws kUnsupported, with the sentence of refusal(), where that has one.
Legal legalize(const Graph& graph, Target target);

// Empty, or what the target cannot do, in one sentence.
std::string refusal(const Graph& graph, Target target);

// The nodes that results need.
std::vector<bool> find_live(const Graph& graph);

}  // namespace mps::legal
