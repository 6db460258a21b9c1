// MPSGraph and its tensors: recording, and the rules of recording.
#pragma once

#include <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>

#include <string>
#include <vector>

#include "plugin/core/node.h"
#include "tests/apple_double/base/object.h"
#include "tests/apple_double/mpsgraph/program.h"

namespace apple_double {

struct GraphState {
  Program program;
  std::vector<Kept<MPSGraphTensor*>> tensors;  // of each node; the graph keeps them
  MPSGraphOptions options = MPSGraphOptionsDefault;
};

struct TensorState {
  MPSGraph* graph = nil;  // not kept
  uint32_t node = 0;
};

// The kernels of MPSGraph take at most this many axes; some abort with more (pytorch/pytorch#154881, #154890).
constexpr size_t kMostAxes = 4;
// A descriptor holds at most this many.
constexpr size_t kMostDimensions = 16;

// -- types and shapes --

// The dtype of an MPSDataType; a violation if this macOS lacks it, or the double does.
DType dtype_of(MPSDataType type, const char* what);
MPSDataType type_of(DType dtype);
Shape shape_of(NSArray<NSNumber*>* shape, const char* what);
NSArray<NSNumber*>* numbers_of(Dims shape);
// What every tensor must be.
void check_shape(Dims shape, const std::string& what);
size_t axis_of(int64_t axis, size_t rank, const std::string& what);

// -- recording --

// Which operands a method is known to take.
enum class Takes {
  kFloats,   // float32, float16, bfloat16
  kNumbers,  // those, int32, and int64 from macOS 13.3 on
  kIntegers,
  kBool,
  kComplex,
  kAny,  // moved, not computed with
};

// One call of a method that records.
class Recording {
 public:
  Recording(MPSGraph* graph, SEL method) : graph_(graph), method_(sel_getName(method)) {}

  const std::string& method() const { return method_; }
  // The node of an operand.
  uint32_t operand(MPSGraphTensor* tensor, Takes takes);
  const Node& node(uint32_t index) const { return state<GraphState>(graph_).program.nodes[index]; }
  const Node& node(MPSGraphTensor* tensor) { return node(operand(tensor, Takes::kAny)); }

  // A node of mps::Graph; its dtype and shape are inferred there.
  MPSGraphTensor* host(mps::NodeKind kind, std::vector<uint32_t> operands, std::vector<int64_t> numbers = {},
                       DType dtype = DType::float32, Dims shape = {});
  // A node with a kernel of kernels.h.
  MPSGraphTensor* own(Node node);
  // The same tensor, whose last axis is henceforth the parts of complex numbers.
  MPSGraphTensor* complex(MPSGraphTensor* tensor);
  // The shape that all operands broadcast to.
  Shape broadcast(const std::vector<uint32_t>& operands) const;

 private:
  MPSGraphTensor* add(Node node);

  MPSGraph* const graph_;
  const std::string method_;
};

}  // namespace apple_double
