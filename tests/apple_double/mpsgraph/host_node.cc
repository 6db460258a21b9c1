#include "tests/apple_double/mpsgraph/host_node.h"

#include "tests/apple_double/base/violation.h"

namespace apple_double {

using mps::Dims;
using mps::NodeKind;

mps::Value host_node(mps::Graph& graph, const std::vector<int64_t>& numbers, const std::vector<mps::Value>& operands,
                     mps::DType dtype, mps::Dims shape) {
  const auto kind = static_cast<NodeKind>(numbers[0]);
  const int64_t* const rest = numbers.data() + 1;
  const size_t count = numbers.size() - 1;
#define MPS_UNARY_NODE(name) \
  if (kind == NodeKind::name) return graph.name(operands[0]);
#define MPS_BINARY_NODE(name) \
  if (kind == NodeKind::name) return graph.name(operands[0], operands[1]);
#include "plugin/core/nodes_by_family.h"
  switch (kind) {
    case NodeKind::select:
      return graph.select(operands[0], operands[1], operands[2]);
    case NodeKind::cast:
      return graph.cast(operands[0], dtype);
    case NodeKind::reshape:
      return graph.reshape(operands[0], shape);
    case NodeKind::broadcast:
      return graph.broadcast(operands[0], shape);
    case NodeKind::transpose:
      return graph.transpose(operands[0], Dims(rest, count));
    case NodeKind::slice:
      return graph.slice(operands[0], Dims(rest, count / 3), Dims(rest + count / 3, count / 3),
                         Dims(rest + count / 3 * 2, count / 3));
    case NodeKind::concatenation:
      return graph.concatenation({operands.data(), operands.size()}, static_cast<int>(rest[0]));
    case NodeKind::reduction_sum:
      return graph.reduction_sum(operands[0], Dims(rest, count));
    case NodeKind::matrix_multiplication:
      return graph.matrix_multiplication(operands[0], operands[1]);
    case NodeKind::dequantize:
      return graph.dequantize(operands[0], operands[1], static_cast<size_t>(rest[0]));
    case NodeKind::fast_fourier_transform:
      return graph.fast_fourier_transform(operands[0], rest[0] != 0);
    case NodeKind::real_to_hermitean_fft:
      return graph.real_to_hermitean_fft(operands[0], rest[0] != 0);
    case NodeKind::convolution_2d:
      return graph.convolution(operands[0], operands[1], mps::Sliding::of(Dims(rest, count)));
    case NodeKind::convolution_2d_data_gradient:
      return graph.convolution_data_gradient(operands[0], operands[1], shape, mps::Sliding::of(Dims(rest, count)));
    case NodeKind::convolution_2d_weights_gradient:
      return graph.convolution_weights_gradient(operands[0], operands[1], shape, mps::Sliding::of(Dims(rest, count)));
    default:
      violation("the double has no way to record a node of kind " + std::string(mps::info(kind).name) + ".");
  }
}

}  // namespace apple_double
