// A legal graph as an MPSGraph, node for node. Used inside of an autorelease pool, which owns what is made.
//
// Unary, binary and compare nodes are sent by the selector of their row in nodes.def and need no code here. A test
// checks that each row's selector takes and returns tensors as its family does.
#pragma once

#import <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include <vector>

#include "plugin/core/graph.h"

namespace mps {

// Hashes of the files that decide what an MPSGraph looks like: kept graphs of other ones are not used.
const char* lowering_version();

MPSDataType mps_type(DType dtype);
// MPSGraph has no tensors without dimensions: they are given one of size 1.
MPSShape* mps_shape(Dims shape);

struct Lowered {
  MPSGraph* graph = nil;
  NSMutableArray<MPSGraphTensor*>* feeds = nil;    // those that are read
  std::vector<uint32_t> feed_numbers;              // which feeds of the legal graph those are
  NSMutableArray<MPSGraphTensor*>* results = nil;  // in the order of the legal graph
};

Lowered lower_metal(const Graph& legal);

}  // namespace mps
