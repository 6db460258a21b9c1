// A tensor of numbers of few bits where it lies, and its parts as floats; for the files of that family.
#pragma once

#include <cstdint>
#include <vector>

#include "plugin/host/quantized_kernels.h"
#include "plugin/host/whole_host.h"

namespace mps {

struct QuantizedTensor {
  QuantizedTensor(const void* codes, const void* absmax, const void* book, int64_t entries, int64_t blocksize);

  // Elements begin .. begin + count - 1, wherever blocks and bytes begin.
  void dequantize(int64_t begin, int64_t count, float* out) const;

  const uint8_t* codes;
  const float* absmax;
  const float* numbers;
  int64_t blocksize;
  bool halves;

 private:
  CodeBook book() const { return {numbers, pairs_.data(), halves}; }
  std::vector<float> pairs_;
};

WholeProgram compile_quantized_matmul(const Graph& graph, Value value);  // quantized_matmul_host.cc
WholeProgram compile_integer_matmul(const Graph& graph, Value value);    // quantized_matmul_host.cc

}  // namespace mps
