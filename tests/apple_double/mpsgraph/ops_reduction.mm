// The methods of MPSGraph that reduce and multiply, with the sizes up to which they are right.
#include <algorithm>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/metal/device.h"
#include "tests/apple_double/mpsgraph/graph.h"

using namespace apple_double;
using mps::NodeKind;

namespace {

MPSGraphTensor* reduce(MPSGraph* graph, SEL method, const char* kernel, MPSGraphTensor* x, NSArray<NSNumber*>* axes,
                       Takes takes) {
  Recording recording(graph, method);
  const uint32_t operand = recording.operand(x, takes);
  const Shape& from = recording.node(operand).shape;
  std::vector<int64_t> reduced;
  if (axes == nil) {
    for (size_t i = 0; i < from.size(); ++i) reduced.push_back(static_cast<int64_t>(i));
  }
  for (NSNumber* axis in axes) {
    reduced.push_back(static_cast<int64_t>(axis_of([axis longLongValue], from.size(), recording.method())));
  }
  const DType dtype = recording.node(operand).dtype;
  const bool exact = dtype == DType::float32 || mps::is_integer(dtype);
  if (std::string(kernel) == "reductionSum" && exact)
    return recording.host(NodeKind::reduction_sum, {operand}, reduced);
  Shape shape = from;
  for (int64_t axis : reduced) shape[static_cast<size_t>(axis)] = 1;
  return recording.own({kernel, "", dtype, shape, {operand}, reduced, {}, false});
}

MPSGraphTensor* scan(MPSGraph* graph, SEL method, const char* kernel, MPSGraphTensor* x, NSInteger axis, BOOL exclusive,
                     BOOL reverse) {
  Recording recording(graph, method);
  const uint32_t operand = recording.operand(x, Takes::kNumbers);
  const DType dtype = recording.node(operand).dtype;
  const Shape shape = recording.node(operand).shape;
  const auto along = static_cast<int64_t>(axis_of(axis, shape.size(), recording.method()));
  return recording.own({kernel, "", dtype, shape, {operand}, {along, exclusive ? 1 : 0, reverse ? 1 : 0}, {}, false});
}

}  // namespace

#define APPLE_DOUBLE_SCAN(method, kernel)                                                                              \
  -(MPSGraphTensor*)method##WithTensor : (MPSGraphTensor*)x axis : (NSInteger)axis exclusive : (BOOL)exclusive reverse \
      : (BOOL)reverse name : (NSString*)name {                                                                         \
    (void)name;                                                                                                        \
    return scan(self, _cmd, kernel, x, axis, exclusive, reverse);                                                      \
  }

#define APPLE_DOUBLE_REDUCTION(method, kernel, takes)                                                                 \
  -(MPSGraphTensor*)method##WithTensor : (MPSGraphTensor*)x axes : (NSArray<NSNumber*>*)axes name : (NSString*)name { \
    (void)name;                                                                                                       \
    return reduce(self, _cmd, kernel, x, axes, Takes::takes);                                                         \
  }                                                                                                                   \
  -(MPSGraphTensor*)method##WithTensor : (MPSGraphTensor*)x axis : (NSInteger)axis name : (NSString*)name {           \
    (void)name;                                                                                                       \
    return reduce(self, _cmd, kernel, x, @[ [NSNumber numberWithLong:axis] ], Takes::takes);                          \
  }

@implementation MPSGraph (Reduction)

APPLE_DOUBLE_SCAN(cumulativeSum, "cumulativeSum")
APPLE_DOUBLE_SCAN(cumulativeProduct, "cumulativeProduct")

APPLE_DOUBLE_REDUCTION(reductionSum, "reductionSum", kNumbers)
APPLE_DOUBLE_REDUCTION(reductionProduct, "reductionProduct", kNumbers)
APPLE_DOUBLE_REDUCTION(reductionMaximum, "reductionMaximum", kNumbers)
APPLE_DOUBLE_REDUCTION(reductionMinimum, "reductionMinimum", kNumbers)
APPLE_DOUBLE_REDUCTION(reductionMaximumPropagateNaN, "reductionMaximumPropagateNaN", kFloats)
APPLE_DOUBLE_REDUCTION(reductionMinimumPropagateNaN, "reductionMinimumPropagateNaN", kFloats)

- (MPSGraphTensor*)matrixMultiplicationWithPrimaryTensor:(MPSGraphTensor*)x
                                         secondaryTensor:(MPSGraphTensor*)y
                                                    name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const std::vector<uint32_t> operands = {recording.operand(x, Takes::kFloats), recording.operand(y, Takes::kFloats)};
  const Shape a = recording.node(operands[0]).shape, b = recording.node(operands[1]).shape;
  const DType dtype = recording.node(operands[0]).dtype;
  require(a.size() >= 2 && b.size() >= 2, recording.method(), ": ", mps::to_string(a), " and ", mps::to_string(b),
          ": expected at least two axes each.");
  const int64_t rows = a[a.size() - 2], inner = a.back(), columns = b.back();
  MPSGraphTensor* const result = recording.host(NodeKind::matrix_multiplication, operands);
  const Node& node = recording.node(result);
  require(gpu_generation() >= 15 || inner < 32767 || rows < 16 || columns < 16, recording.method(), ": inner axes of ",
          inner, " read past the operands on M1 and M2 (pytorch/pytorch#195163).");
  require(os_at_least(14, 4) || std::max({rows, inner, columns}) <= 32768, recording.method(),
          ": axes of more than 32768 come out wrong before macOS 14.4 (pytorch/pytorch#116769).");
  const auto batches = [](const Shape& shape) { return mps::element_count(Dims(shape.data(), shape.size() - 2)); };
  require(batches(a) == batches(b) || mps::element_count(node.shape) <= (1 << 20), recording.method(), ": ",
          mps::to_string(a), " and ", mps::to_string(b),
          ": batches that broadcast give garbage in large results (pytorch/pytorch#111634).");
  if (dtype == DType::float32) return result;
  // Nobody says in which precision short floats are summed.
  Node short_sums = node;
  short_sums.kernel = "short matmul";
  short_sums.numbers.clear();
  return recording.own(std::move(short_sums));
}
@end
