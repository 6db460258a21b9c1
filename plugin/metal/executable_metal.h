// What MetalDevice::compile() returns: a compiled MPSGraph, and how its feeds and results lie in the caller's memory.
#pragma once

#import <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include <memory>
#include <vector>

#include "plugin/core/device.h"
#include "plugin/metal/encoding_metal.h"
#include "plugin/metal/legal/legal.h"
#include "plugin/metal/objc.h"

namespace mps {

class MetalExecutable : public Executable {
 public:
  // Inside of an autorelease pool, under the stream's encoding lock.
  virtual void encode(Encoding& encoding, Span<const Binding> feeds, Span<const Binding> results) const = 0;
};

// A legal graph, compiled. Feeds and results are in MPSGraph's order, which is not ours.
struct Compiled {
  Ref<MPSGraphExecutable*> executable;  // none if no result is computed
  std::vector<uint32_t> feeds;          // which feeds of the legal graph it takes
  std::vector<uint32_t> results;        // which results of the legal graph it gives
};

// `original`: the graph that was made legal.
std::shared_ptr<const MetalExecutable> make_executable(const Graph& original, const legal::Legal& legal,
                                                       Compiled compiled);

}  // namespace mps
