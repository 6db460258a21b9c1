#include "tests/apple_double/mpsgraph/graph.h"

#include <climits>

#include "plugin/core/check.h"
#include "tests/apple_double/base/control.h"
#include "tests/apple_double/mpsgraph/host_node.h"

namespace apple_double {
namespace {

bool is_taken(DType dtype, Takes takes) {
  switch (takes) {
    case Takes::kFloats:
      return mps::is_float(dtype);
    case Takes::kNumbers:
      return mps::is_float(dtype) || dtype == DType::int32 || dtype == DType::int64;
    case Takes::kIntegers:
      return dtype == DType::int32 || dtype == DType::int64;
    case Takes::kBool:
      return dtype == DType::bool_;
    case Takes::kComplex:
      return dtype == DType::float32;
    case Takes::kAny:
      return true;
  }
  return false;
}

}  // namespace

DType dtype_of(MPSDataType type, const char* what) {
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, metal_name, mps_enum, ...)                          \
  if (type == mps_enum) {                                                                                       \
    require(DType::enumerator != DType::bfloat16 || os_at_least(14, 0), what,                                   \
            ": MPSDataTypeBFloat16 is there from macOS 14.0 on, but this is macOS ", os_version().text(), "."); \
    return DType::enumerator;                                                                                   \
  }
#include "plugin/core/dtype.def"
#undef MPS_DTYPE
  violation(internal::join(what, ": MPSDataType 0x", std::hex, static_cast<uint32_t>(type),
                           ": none of dtype.def, which are what the double knows."));
}

MPSDataType type_of(DType dtype) {
  switch (dtype) {
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, metal_name, mps_enum, ...) \
  case DType::enumerator:                                                              \
    return mps_enum;
#include "plugin/core/dtype.def"
#undef MPS_DTYPE
  }
  return MPSDataTypeInvalid;
}

Shape shape_of(NSArray<NSNumber*>* shape, const char* what) {
  require(shape != nil, what, ": the shape is nil: the double knows tensors of known shapes only.");
  require([shape count] <= kMostDimensions, what, ": ", [shape count], " dimensions: MPS holds at most ",
          kMostDimensions, ".");
  Shape result;
  for (NSNumber* size in shape) result.push_back([size longLongValue]);
  return result;
}

NSArray<NSNumber*>* numbers_of(Dims shape) {
  NSMutableArray* const numbers = [NSMutableArray array];
  for (int64_t size : shape) [numbers addObject:[NSNumber numberWithLongLong:size]];
  return numbers;
}

void check_shape(Dims shape, const std::string& what) {
  require(shape.size() <= kMostDimensions, what, ": ", shape.size(), " dimensions: MPS holds at most ", kMostDimensions,
          ".");
  int64_t elements = 1;
  for (int64_t size : shape) {
    require(size > 0, what, ": ", mps::to_string(shape), " has no elements: MPSGraph's assertion fails.");
    require(size <= INT_MAX, what, ": ", mps::to_string(shape),
            ": `NDArray dimension length > INT_MAX`, the assertion fails.");
    elements *= size;
    require(elements < (int64_t{1} << 32), what, ": ", mps::to_string(shape),
            ": 2^32 and more elements come out wrong without a word (pytorch/pytorch#194460).");
  }
}

size_t axis_of(int64_t axis, size_t rank, const std::string& what) {
  const int64_t found = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  require(found >= 0 && found < static_cast<int64_t>(rank), what, ": axis ", axis, " of ", rank, " axes.");
  return static_cast<size_t>(found);
}

uint32_t Recording::operand(MPSGraphTensor* tensor, Takes takes) {
  require(tensor != nil, method_, ": an operand is nil.");
  require([tensor isKindOfClass:[MPSGraphTensor class]], method_, ": expected an MPSGraphTensor, got ",
          public_name(tensor), ".");
  require(state<TensorState>(tensor).graph == graph_, method_, ": the operand is of another graph.");
  const Node& operand = node(state<TensorState>(tensor).node);
  require(operand.is_complex == (takes == Takes::kComplex), method_, operand.is_complex ? " of complex" : " of real",
          " numbers: not known to work in MPSGraph.");
  require(is_taken(operand.dtype, takes), method_, " of ", mps::name(operand.dtype),
          ": not known to work in MPSGraph. Cast to a dtype that is (see README.md of the double).");
  require(takes == Takes::kAny || operand.dtype != DType::int64 || os_at_least(13, 3), method_,
          " of int64: kernels for int64 are missing before macOS 13.3, and this is macOS ", os_version().text(),
          ": `Function ..._i64 was not found in the library`, the process ends.");
  return state<TensorState>(tensor).node;
}

MPSGraphTensor* Recording::host(mps::NodeKind kind, std::vector<uint32_t> operands, std::vector<int64_t> numbers,
                                DType dtype, Dims shape) {
  numbers.insert(numbers.begin(), static_cast<int64_t>(kind));
  Node made;
  try {
    mps::Graph graph;
    std::vector<mps::Value> values;
    for (uint32_t operand : operands) values.push_back(graph.placeholder(node(operand).dtype, node(operand).shape));
    const mps::Value result = host_node(graph, numbers, values, dtype, shape);
    made.dtype = graph.dtype(result);
    made.shape = Shape(graph.shape(result));
  } catch (const mps::Error& error) {
    violation(method_ + ": `LLVM ERROR: Failed to infer result type(s)`, the process ends. " + error.what());
  }
  made.kernel = "host";
  made.operands = std::move(operands);
  made.numbers = std::move(numbers);
  made.pointwise = mps::is_pointwise(kind) || kind == mps::NodeKind::reshape;
  return add(std::move(made));
}

MPSGraphTensor* Recording::own(Node made) { return add(std::move(made)); }

MPSGraphTensor* Recording::complex(MPSGraphTensor* tensor) {
  state<GraphState>(graph_).program.nodes[state<TensorState>(tensor).node].is_complex = true;
  return tensor;
}

Shape Recording::broadcast(const std::vector<uint32_t>& operands) const {
  Shape shape;
  try {
    for (uint32_t operand : operands) shape = mps::broadcast_shapes(shape, node(operand).shape);
  } catch (const mps::Error& error) {
    violation(method_ + ": the shapes do not broadcast: the process ends. " + error.what());
  }
  return shape;
}

MPSGraphTensor* Recording::add(Node made) {
  check_shape(made.shape, method_);
  const bool free = made.kernel == "placeholder" || made.kernel == "constant" ||
                    (made.kernel == "host" && static_cast<mps::NodeKind>(made.numbers[0]) == mps::NodeKind::reshape);
  for (size_t i = 0; i <= made.operands.size() && !free; ++i) {
    const Shape& shape = i < made.operands.size() ? node(made.operands[i]).shape : made.shape;
    require(shape.size() <= kMostAxes, method_, ": ", shape.size(), " axes: MPSGraph's kernels are made for ",
            kMostAxes, ", and some abort with more. Reshape.");
  }
  made.method = method_;
  GraphState& graph = state<GraphState>(graph_);
  const auto index = static_cast<uint32_t>(graph.program.nodes.size());
  graph.program.nodes.push_back(std::move(made));
  MPSGraphTensor* const tensor = [MPSGraphTensor alloc];
  state<TensorState>(tensor).graph = graph_;
  state<TensorState>(tensor).node = index;
  graph.tensors.push_back(Kept<MPSGraphTensor*>::adopt(tensor));
  return [[tensor retain] autorelease];  // as any other method's result
}

}  // namespace apple_double

using namespace apple_double;

@implementation MPSGraphObject
@end

@implementation MPSGraphTensor
APPLE_DOUBLE_STATE(TensorState)
- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  return [self retain];
}
- (MPSShape*)shape {
  const TensorState& here = state<TensorState>(self);
  const Node& node = state<GraphState>(here.graph).program.nodes[here.node];
  return numbers_of({node.shape.data(), node.shape.size() - (node.is_complex ? 1 : 0)});
}
- (MPSDataType)dataType {
  const TensorState& here = state<TensorState>(self);
  const Node& node = state<GraphState>(here.graph).program.nodes[here.node];
  return node.is_complex ? MPSDataTypeComplexFloat32 : type_of(node.dtype);
}
@end

@implementation MPSGraph
APPLE_DOUBLE_STATE(GraphState)
APPLE_DOUBLE_PROPERTY(GraphState, MPSGraphOptions, options, setOptions)
+ (instancetype)new {
  return [[self alloc] init];
}
- (NSArray<MPSGraphTensor*>*)placeholderTensors {
  NSMutableArray* const found = [NSMutableArray array];
  const GraphState& here = state<GraphState>(self);
  for (size_t i = 0; i < here.tensors.size(); ++i) {
    if (here.program.nodes[i].kernel == "placeholder") [found addObject:here.tensors[i]];
  }
  return found;
}
@end
