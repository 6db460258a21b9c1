// Graphs into executables: legalised, lowered to MPSGraph, compiled once, and kept between runs where that is possible.
#pragma once

#import <Metal/Metal.h>

#include <memory>
#include <string>

#include "plugin/core/device.h"

namespace mps {

// Empty if this macOS can run the graph, else one sentence on what it cannot do.
std::string supports_metal(const Graph& graph);

// Inside of an autorelease pool. Throws kUnsupported where supports_metal() has a sentence.
std::shared_ptr<const Executable> compile_metal(id<MTLDevice> device, const Graph& graph);

}  // namespace mps
