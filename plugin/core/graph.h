// A graph: what one kernel computes, as plain data.
//
// A kernel records nodes into a Graph and hands it to launch(). Recording validates and infers
// shapes (infer.cc), so a Graph is well formed by construction. All of it, nodes with their
// attributes, dtypes and shapes, lies in two flat arrays: hashing and comparing a graph is hashing
// and comparing those bytes, and that is the cache key. Values that change from launch to launch
// (addresses, host scalars) are feeds, not part of the graph.
//
// A Graph is used by one thread. Recording a dozen nodes takes no allocation and a fraction of a
// microsecond.
#pragma once

#include <cstdint>
#include <string>

#include "plugin/core/attention.h"
#include "plugin/core/dtype.h"
#include "plugin/core/fourier.h"
#include "plugin/core/node.h"
#include "plugin/core/scalar.h"
#include "plugin/core/shape.h"
#include "plugin/core/sliding.h"

namespace mps {

// A node's result, by the node's position in its graph. Nodes come after their operands.
struct Value {
  uint32_t node = UINT32_MAX;
};

// One recorded node. Its numbers (dimensions, operands, attributes) stand in that order in the
// graph's pool, at `at`.
struct Node {
  NodeKind kind;
  DType dtype;
  uint8_t rank;
  uint16_t operand_count;
  uint16_t attribute_count;
  uint32_t at;
};

// What scatter makes of an element and an update of it.
enum class ScatterMode : uint8_t { kSet, kAdd, kMultiply, kMinimum, kMaximum };

class Graph {
 public:
  // -- sources
  // ------------------------------------------------------------------------------------------------------
  // Feeds are numbered in the order of these calls; launch() takes them in that order.
  Value placeholder(DType dtype, Dims shape);  // attributes: feed number
  Value scalar(DType dtype);                   // a 0-D value given by the host at each launch; attributes: feed number
  Value constant(Scalar value, DType dtype, Dims shape = {});  // attributes: the value's bits

  // -- pointwise: one method per row of nodes.def, with MPSGraph's stem as its name
  // -----------------------------------
#define MPS_UNARY_NODE(kind) \
  Value kind(Value x) { return add(NodeKind::kind, {x}); }
#define MPS_BINARY_NODE(kind) \
  Value kind(Value x, Value y) { return add(NodeKind::kind, {x, y}); }
#include "plugin/core/nodes_by_family.h"

  Value select(Value predicate, Value if_true, Value if_false);
  Value cast(Value x, DType dtype);  // returns x itself when it has that dtype

  // -- shape and movement
  // -------------------------------------------------------------------------------------------
  // These return x itself when there is nothing to do.
  Value reshape(Value x, Dims shape);  // attributes: none beyond the shape
  Value transpose(Value x,
                  Dims permutation);     // attributes: result axis i is operand axis permutation[i]
  Value broadcast(Value x, Dims shape);  // attributes: none beyond the shape
  Value slice(Value x, Dims starts, Dims ends,
              Dims steps);  // attributes: starts, then steps; steps are positive
  Value concatenation(Span<const Value> values,
                      int axis);  // attributes: axis; empty operands are dropped
  // Elements of the flat `storage` at offset + sum(index * stride), in elements; strides may be 0
  // or negative. Attributes: offset, then strides.
  Value strided_view(Value storage, Dims shape, Dims strides, int64_t offset);
  // `storage` with the elements that strided_view would read replaced by those of `update`. Same
  // attributes. If two indices name one element, which of their values it gets is not defined.
  Value strided_update(Value storage, Value update, Dims strides, int64_t offset);

  // -- reductions and linear algebra
  // -------------------------------------------------------------------------------- Reduced
  // dimensions stay, with size 1. Attributes: the axes. float16 and bfloat16 accumulate in float32.
  Value reduction_sum(Value x, Dims axes) { return reduction(NodeKind::reduction_sum, x, axes); }
  Value reduction(NodeKind kind, Value x, Dims axes);
  // [..., M, K] x [..., K, N] -> [..., M, N]; leading dimensions broadcast; at least two dimensions
  // each. float16 and bfloat16 accumulate in float32; integers wrap.
  Value matrix_multiplication(Value x, Value y);

  // -- scans, positions and order
  // -------------------------------------------------------------------------------------------
  // The first position (int32) of the extreme along `axis`, which stays with size 1. NaN is passed over; where nothing
  // else is, 0. Attributes: axis.
  Value arg_reduction(NodeKind kind, Value x, int axis);
  // Each element becomes the reduction of those up to it; exclusive: without itself. reverse: from the end. Attributes:
  // axis, exclusive, reverse. float16 and bfloat16 accumulate in float32.
  Value scan(NodeKind kind, Value x, int axis, bool exclusive = false, bool reverse = false);
  // int32: each element's own index along `axis`. Attributes: axis.
  Value coordinate(Dims shape, int axis);
  // indices [M], data [B, N, I] -> [B, M, I]: data[b, indices[m], i]; 0 where an index is outside of 0..N-1.
  Value gather(Value indices, Value data);
  // data [B, N, I] with updates [B, M, I] combined into rows `indices` [M], in the order of m where several meet one
  // row; an index outside of 0..N-1 is passed over. Attributes: mode.
  Value scatter(ScatterMode mode, Value data, Value indices, Value updates);
  // int32: the positions of the first `count` elements along `axis` in sorted order; equal ones in their own order, NaN
  // greatest of all. Attributes: axis, descending.
  Value arg_sort(Value x, int axis, bool descending, int64_t count);
  // sequences [B, N] that rise, values [B, M] -> int32 [B, M]: how many elements of the sequence are less than the
  // value; right: or equal. NaN is greatest. Attributes: right.
  Value search_sorted(Value sequence, Value values, bool right);

  // -- random
  // -------------------------------------------------------------------------------------------------------
  // int32: words of Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011).
  // Element i is word i % 4 of the block whose counter is `block` with i / 4 added to its first two words, which are
  // one number of 64 bits. Lowest words come first; all are 0-D int32.
  struct Counter {
    Value key[2], block[4];
  };
  Value random_bits(Dims shape, const Counter& counter);
  // -- images (sliding.h)
  // -------------------------------------------------------------------------------------------
  // In two dimensions or three, by the number of axes. float16 and bfloat16 accumulate in float32. Attributes: those of
  // Sliding. The gradients are those of x and of the weights, where dout is that of the result.
  Value convolution(Value x, Value weights, const Sliding& sliding);
  Value convolution_data_gradient(Value dout, Value weights, Dims x_shape, const Sliding& sliding);
  Value convolution_weights_gradient(Value dout, Value x, Dims weights_shape, const Sliding& sliding);
  // The maximum of each window (NaN wins, and -inf is that of none); its place, as an int32 index into the spatial axes
  // taken flat (as arg_reduction: the first, NaN passed over; -1 in a window without elements); the average (NaN is
  // that of none). `shape` is the result's: windows may begin anywhere.
  Value pooling(NodeKind kind, Value x, Dims shape, const Sliding& sliding);
  // dout goes to the place of each maximum, or is divided among the window.
  Value max_pooling_gradient(Value dout, Value x, const Sliding& sliding);
  Value average_pooling_gradient(Value dout, Dims x_shape, const Sliding& sliding);

  // -- sequences
  // ----------------------------------------------------------------------------------------------------
  // softmax(scale q k^T) v and its gradient; operands, and what lies where in the result (float32, flat): attention.h.
  Value attention(Span<const Value> operands, const Attention& what);
  Value attention_gradient(Span<const Value> operands, const Attention& what);
  // Connectionist temporal classification (Graves et al., 2006). A text of L letters is a row of S = 2 L + 1 states,
  // blank, letter, blank ... blank. scores [T, B, S]: the logarithm of each state's likelihood in each frame; skips
  // [B, S]: 0 where a state may follow the one before the last, -inf where not; frames [B] and states [B] (int32): how
  // many there are. A way begins in one of the first two states, stays or goes on, and ends in one of the last two.
  // Flat float32: the logarithms of the likelihood of all ways [B], then the share of the ways that are in a state
  // [T, B, S], which is 0 behind the frames and where there is no way.
  Value ctc_alignment(Value scores, Value skips, Value frames, Value states);
  // -- spectra (fourier.h)
  // -------------------------------------------------------------------------------------------------------------------
  // Discrete Fourier transforms along axis 1, float32; complex numbers are pairs of real ones. Attributes: those of
  // Fourier. [B, N, I, 2] -> the same; of real numbers [B, N, I] the first half, [B, N / 2 + 1, I, 2], since the others
  // are conjugates; and from that half, of which the imaginary parts of the first number and, for even N, of the last
  // do not count, to real numbers [B, N, I].
  Value fast_fourier_transform(Value x, bool inverse, double scale = 1);
  Value real_to_hermitean_fft(Value x, bool inverse, double scale = 1);
  Value hermitean_to_real_fft(Value x, int64_t length, bool inverse, double scale = 1);
  // -- numbers of few bits
  // -------------------------------------------------------------------------------------------
  // A tensor in `bits` bits per element is bytes of places in a code book, which has 2^bits entries (float32): with 8
  // bits one byte per element; with 4 bits elements 2i and 2i + 1 share byte i, the first one in its upper half.
  // Elements are counted flat, and every `blocksize` of them, the last ones excepted, share one absmax (float32).
  //
  // x [n], absmax [blocks], points [P] that rise, codes [P + 1] -> uint8: codes[how many points are less than x /
  // absmax, computed as x * (1 / max(absmax, 1e-38)) in float32; NaN is greatest]. With 4 bits (P = 15; else 255) the
  // last half of a byte that no element fills is as for x = 0. Attributes: blocksize.
  Value quantize_blockwise(Value x, Value absmax, Value points, Value codes, int64_t blocksize);
  // codes (uint8), absmax, book [16 or 256] -> book[code] * absmax, a product of float32, rounded once; of `shape`.
  // Attributes: blocksize, dtype.
  Value dequantize_blockwise(Value codes, Value absmax, Value book, int64_t blocksize, DType dtype, Dims shape);
  // int8, and float32 [C] for the C places along an axis -> x * scale, float32. Attributes: axis.
  Value dequantize(Value x, Value scale, size_t axis);
  // x [M, K] times the transpose of a dequantised matrix [N, K], or, for its gradient, x [M, N] times the matrix
  // itself. What is dequantised stays float32, and so do the sums. Attributes: blocksize, N, K, transposed.
  struct QuantizedMatrix {
    Value codes, absmax, book;
    int64_t blocksize, rows, columns;
  };
  Value quantized_matrix_multiplication(Value x, const QuantizedMatrix& matrix, bool transposed);
  // int8 [M, K] times the transpose of int8 [N, K] -> int32 [M, N], exactly.
  Value int8_matrix_multiplication(Value x, Value y);
  // int8 [M, K] times the transpose of a matrix [N, K] of -1, 0 and 1 -> int32 [M, N], exactly. Its packed bytes are
  // [R, K] for R = ceil(N / 4): byte [r, k] has w[i * R + r, k] + 1 in its bits 2i and 2i + 1. Attributes: N.
  Value ternary_matrix_multiplication(Value x, Value packed, int64_t rows);

  // A node like one of another graph, for what copies graphs: attributes as that one has them.
  Value record(NodeKind kind, Span<const Value> operands, Dims attributes, Dims target) {
    return add(kind, operands, attributes, target);
  }

  // -- results
  // ------------------------------------------------------------------------------------------------------
  // Results are numbered in the order of these calls. A value may be a result more than once.
  void result(Value value) { results_.push_back(value.node); }

  // -- reading
  // ------------------------------------------------------------------------------------------------------
  size_t node_count() const { return nodes_.size(); }
  const Node& node(uint32_t index) const { return nodes_[index]; }
  const Node& node(Value value) const { return nodes_[value.node]; }
  DType dtype(Value value) const { return nodes_[value.node].dtype; }
  Dims shape(const Node& node) const { return {pool_.data() + node.at, node.rank}; }
  Dims shape(Value value) const { return shape(nodes_[value.node]); }
  Dims operands(const Node& node) const { return {pool_.data() + node.at + node.rank, node.operand_count}; }
  Dims attributes(const Node& node) const {
    return {pool_.data() + node.at + node.rank + node.operand_count, node.attribute_count};
  }
  Value operand(const Node& node, size_t i) const { return {static_cast<uint32_t>(operands(node)[i])}; }
  int64_t elements(Value value) const { return element_count(shape(value)); }
  size_t bytes(Value value) const { return static_cast<size_t>(elements(value)) * size_of(dtype(value)); }
  Span<const uint32_t> results() const { return results_; }
  size_t feed_count() const { return feed_count_; }
  bool empty() const { return nodes_.empty(); }

  void clear();
  uint64_t hash() const;
  friend bool operator==(const Graph& a, const Graph& b) {
    return a.nodes_ == b.nodes_ && a.pool_ == b.pool_ && a.results_ == b.results_;
  }

 private:
  Value add(NodeKind kind, Span<const Value> operands, Dims attributes = {}, Dims target = {});
  Value push(NodeKind kind, DType dtype, Dims shape, Span<const Value> operands, Dims attributes);

  SmallVector<Node, 16> nodes_;
  SmallVector<int64_t, 128> pool_;
  SmallVector<uint32_t, 4> results_;
  uint32_t feed_count_ = 0;
};

}  // namespace mps
