// What nodes compute where MPSGraph does something else than the nodes of mps::Graph, or has something that those lack.
#pragma once

#include <memory>
#include <string>

#include "plugin/host/executable_host.h"
#include "tests/apple_double/mpsgraph/program.h"

namespace apple_double {

struct Array {
  DType dtype = DType::float32;
  Shape shape;
  char* data = nullptr;
  int64_t elements() const { return mps::element_count(shape); }
  size_t bytes() const { return static_cast<size_t>(elements()) * mps::size_of(dtype); }
};

using Kernel = void (*)(const Node& node, Span<const Array> operands, const Array& result);

// Null if there is none of this name. Each file of kernels lists its own.
Kernel find_kernel(const std::string& name);

struct NamedKernel {
  const char* name;
  Kernel run;
};
Span<const NamedKernel> pointwise_kernels();
Span<const NamedKernel> movement_kernels();
Span<const NamedKernel> reduction_kernels();

// For kernel "host": the first of node.numbers is the NodeKind, the others are its attributes as host_node() wrote
// them.
std::shared_ptr<const mps::HostExecutable> compile_host(const Program& program, const Node& node);

}  // namespace apple_double
