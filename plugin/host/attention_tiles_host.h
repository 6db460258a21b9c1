// What attention and its gradient have in common: tiles of the scores, some queries by some keys, which are all of the
// score matrix that there ever is.
//
// The rows of a tile are queries of all heads that share a head of keys, `queries` of the first head, then of the next:
// one row of many heads is still a matrix (a decoder's step). Results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <memory>

#include "plugin/core/attention.h"
#include "plugin/core/graph.h"
#include "plugin/host/matmul_kernel_host.h"
#include "plugin/host/vector_kernels.h"
#include "plugin/host/whole_host.h"

namespace mps {

// One of the two sizes that tiles have along an axis: full ones, and the last.
struct TileAxis {
  int64_t total, each;
  int64_t count() const { return (total + each - 1) / each; }
  int64_t size(int64_t i) const { return i + 1 < count() ? each : total - (count() - 1) * each; }
  size_t is_last(int64_t i) const { return i + 1 == count() ? 1 : 0; }
};

// A product for each combination of full and last tiles.
class TileProduct {
 public:
  // `of(queries, keys)`: the geometry for a tile of so many rows and columns.
  template <typename F>
  TileProduct(const TileAxis& queries, const TileAxis& keys, int64_t group, F of) {
    for (size_t q = 0; q < 2; ++q) {
      for (size_t k = 0; k < 2; ++k) {
        kernels_[q][k] = make(of(group * (q == 0 ? queries.each : queries.size(queries.count() - 1)),
                                 k == 0 ? keys.each : keys.size(keys.count() - 1)));
      }
    }
  }
  const MatmulKernel& of(size_t last_queries, size_t last_keys) const { return *kernels_[last_queries][last_keys]; }
  size_t bytes() const;

 private:
  static std::shared_ptr<const MatmulKernel> make(const MatmulGeometry& geometry);
  std::shared_ptr<const MatmulKernel> kernels_[2][2];
};

class AttentionTiles {
 public:
  AttentionTiles(const Graph& graph, Value value);

  const Attention what;
  const AttentionSizes sizes;
  const TileAxis queries, keys;
  const VectorKernels& kernels;

  int64_t rows() const { return sizes.group() * queries.each; }  // of a full tile
  // Floats of memory that drop() wants.
  size_t spare() const { return static_cast<size_t>(keys.each) + 8; }

  // Where a row of tiles lies.
  struct Row {
    int64_t batch, key_head, tile;  // of queries
    int64_t first, count;           // queries
    int64_t first_key, last_key;    // keys that some of its queries see: a range of tiles
  };
  Row row(Span<const void* const> inputs, int64_t index) const;
  int64_t row_count() const { return sizes.batch * sizes.key_heads * queries.count(); }

  // Copies the rows of `from` [B, Q, H, width] that a row of tiles is about, times `factor`.
  void collect(const Row& row, const float* from, int64_t width, float factor, float* to) const;
  // The other way round.
  void spread(const Row& row, const float* from, int64_t width, float* to) const;

  // Scores of tile `key_tile`, scaled, masked and limited, where `q` are collected queries times scale. Rows are
  // keys.each apart.
  void scores(Span<const void* const> inputs, const Row& row, int64_t key_tile, const float* q, float* to) const;
  // Puts `value` where no range of a query has the key.
  void hide(Span<const void* const> inputs, const Row& row, int64_t key_tile, float value, float* to) const;
  // Multiplies weights with 0 or 1 / (1 - dropout). `spare`: memory.
  void drop(Span<const void* const> inputs, const Row& row, int64_t key_tile, float* weights, float* spare) const;

  // Where element (b, h, i, 0) of a mask of this shape lies.
  int64_t mask_offset(int64_t b, int64_t h, int64_t i) const;
  int64_t mask_batch = 0, mask_head = 0, mask_query = 0;  // strides of the mask, 0 where it repeats

  // Strides from one key to the next.
  int64_t k_stride() const { return sizes.key_heads * sizes.width; }
  int64_t v_stride() const { return sizes.key_heads * sizes.value_width; }
  const float* k(const void* k, const Row& row, int64_t key_tile) const {
    return static_cast<const float*>(k) + at_key(row, key_tile) * sizes.width;
  }
  const float* v(const void* v, const Row& row, int64_t key_tile) const {
    return static_cast<const float*>(v) + at_key(row, key_tile) * sizes.value_width;
  }
  int64_t at_key(const Row& row, int64_t key_tile) const {
    return (row.batch * sizes.keys + key_tile * keys.each) * sizes.key_heads + row.key_head;
  }

  uint64_t products() const;  // of one pass over the scores, multiplications
  size_t bytes() const { return qk_.bytes(); }

 private:
  AttentionTiles(const Graph& graph, Value value, size_t fixed);
  const int32_t* range(Span<const void* const> inputs, int64_t b, int64_t i) const;

  const size_t fixed_;
  int64_t range_batch_ = 0;
  TileProduct qk_;
};

WholeProgram compile_attention_gradient(const Graph& graph, Value value);  // attention_gradient_host.cc

}  // namespace mps
