#include "tests/apple_double/mpsgraph/kernels.h"

#include "plugin/host/device_host.h"
#include "tests/apple_double/mpsgraph/host_node.h"

namespace apple_double {

Kernel find_kernel(const std::string& name) {
  for (Span<const NamedKernel> kernels : {pointwise_kernels(), movement_kernels(), reduction_kernels()}) {
    for (const NamedKernel& kernel : kernels) {
      if (name == kernel.name) return kernel.run;
    }
  }
  return nullptr;
}

std::shared_ptr<const mps::HostExecutable> compile_host(const Program& program, const Node& node) {
  static auto* const device = new mps::HostDevice(mps::HostOptions());
  mps::Graph graph;
  std::vector<mps::Value> operands;
  for (uint32_t operand : node.operands) {
    operands.push_back(graph.placeholder(program.nodes[operand].dtype, program.nodes[operand].shape));
  }
  graph.result(host_node(graph, node.numbers, operands, node.dtype, node.shape));
  return std::static_pointer_cast<const mps::HostExecutable>(device->compile(graph));
}

}  // namespace apple_double
