// A product with a matrix of few bits: what its files share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "plugin/host/quantized_host.h"
#include "plugin/host/vector_kernels.h"

namespace mps {

// Memory of the calling thread for a panel, kept for the next one: fresh megabytes cost more than to fill them.
template <typename T>
T* thread_room(int64_t elements) {
  thread_local std::unique_ptr<T[]> room;
  thread_local int64_t size = 0;
  if (elements > size) {
    room.reset();
    size = 0;
    room.reset(new T[static_cast<size_t>(elements)]);
    size = elements;
  }
  return room.get();
}

struct QuantizedProduct {
  DType dtype;
  int64_t blocksize, entries, rows, columns;  // of the matrix
  bool transposed;
  int64_t m, inner, width;

  QuantizedProduct(const Graph& graph, Value value) : dtype(graph.dtype(value)) {
    const Node& node = graph.node(value);
    const Dims attributes = graph.attributes(node);
    blocksize = attributes[0];
    rows = attributes[1];
    columns = attributes[2];
    transposed = attributes[3] != 0;
    entries = graph.elements(graph.operand(node, 3));
    m = graph.shape(value)[0];
    inner = transposed ? columns : rows;
    width = transposed ? rows : columns;
  }

  QuantizedTensor matrix(Span<const void* const> inputs) const {
    return QuantizedTensor(inputs[1], inputs[2], inputs[3], entries, blocksize);
  }

  // The activations as floats; `room` keeps them if they are not.
  const float* floats(const void* x, std::vector<float>* room) const {
    if (dtype == DType::float32) return static_cast<const float*>(x);
    room->resize(static_cast<size_t>(m * inner));
    vector_kernels().load[static_cast<int>(dtype)](x, nullptr, nullptr, room->data(), room->size());
    return room->data();
  }

  // Rounds `count` numbers into row `row` of the result, from `column` on.
  void store(const float* from, void* output, int64_t row, int64_t column, int64_t count) const {
    char* const to = static_cast<char*>(output) + (row * width + column) * static_cast<int64_t>(size_of(dtype));
    const size_t n = static_cast<size_t>(count);
    if (dtype == DType::float32) {
      std::copy_n(from, n, reinterpret_cast<float*>(to));
    } else {
      vector_kernels().store[static_cast<int>(dtype)](from, nullptr, nullptr, to, n);
    }
  }
};

// With fewer rows it does not pay to cut the matrix into pieces.
constexpr int64_t kFewestTileRows = 24;

// In tiles of the processor (tile_kernels.h), if it has them; false, and nothing done, if that would be slower or
// numbers are too large or too small for them.
bool run_in_tiles(const QuantizedProduct& p, Span<const void* const> inputs, void* output);  // quantized_tiles_host.cc

}  // namespace mps
