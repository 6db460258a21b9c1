// What an MPSGraph has recorded, as plain data: a list of nodes, each with one result, operands before their users.
//
// A node names the kernel (kernels.h) that computes it. Most kernels are nodes of mps::Graph, run by the host device;
// where MPSGraph is known to do something else than our nodes, the kernel does that instead.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plugin/core/dtype.h"
#include "plugin/core/shape.h"

namespace apple_double {

using mps::Dims;
using mps::DType;
using mps::Ints;
using mps::Shape;
using mps::Span;

struct Node {
  std::string kernel;  // "placeholder", "constant", "host", or one of kernels.h
  std::string method;  // of MPSGraph, for sentences
  DType dtype = DType::float32;
  Shape shape;
  std::vector<uint32_t> operands;
  std::vector<int64_t> numbers;  // what the kernel wants to know
  std::vector<char> bytes;       // a constant's: one element, or all
  // Element i of the result is made of the elements i of the operands alone.
  bool pointwise = false;
  // The last axis of the shape is the two parts of complex numbers.
  bool is_complex = false;
};

struct Program {
  std::vector<Node> nodes;

  std::string write() const;
  // False if the bytes are no program.
  bool read(const std::string& bytes);
};

// "float32[2, 3]"
std::string describe(DType dtype, Dims shape);

// The nodes that the targets need.
std::vector<bool> needed(const Program& program, const std::vector<uint32_t>& targets);

}  // namespace apple_double
