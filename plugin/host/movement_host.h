// Moving elements: from one strided range to another of the same shape, bit for bit. Every node that only moves
// elements (transpose, broadcast, slice, concatenation, strided_view, strided_update, a constant as a result) is one or
// more of these, since each is nothing but strides on one side or on both.
//
// A program is immutable: any number of threads may run it at once.
#pragma once

#include "plugin/core/graph.h"

namespace mps {

class CopyProgram {
 public:
  // Strides in elements, of any sign; those of `from` may be 0.
  static CopyProgram compile(size_t element_bytes, Dims shape, Dims to_strides, Dims from_strides);

  // The addresses are those of element (0, 0, ...). The ranges overlap exactly or not at all; exactly only if
  // is_dense().
  void run(void* to, const void* from) const;

  bool is_dense() const { return kernel_ == Kernel::kDense; }  // a plain array on both sides, in the same order
  // Done in tiles, much faster than element by element.
  bool is_transpose() const { return kernel_ == Kernel::kTranspose; }
  uint64_t cost_ns() const;  // rough time of run() on one thread

 private:
  enum class Kernel {
    kNothing,    // no elements
    kDense,      // all axes merged into one that is dense on both sides
    kRows,       // the last axis is dense on both sides
    kFill,       // the last axis repeats one element
    kTranspose,  // the last axis is dense in `to`, the one before it in `from`
    kStrided,    // anything else
  };
  struct Axis {
    int64_t size, to, from;
  };
  class Cursor;

  void choose_kernel();
  bool streams() const;        // its rows go past the caches
  bool streams_tiles() const;  // or the tiles that it turns
  bool is_far_apart() const;
  template <typename T>
  void run_as(T* to, const T* from) const;
  template <typename T>
  void run_line(T* to, const T* from, int64_t begin, int64_t end) const;

  Kernel kernel_ = Kernel::kNothing;
  size_t element_bytes_ = 0;
  int64_t elements_ = 0;
  SmallVector<Axis, kMaxRank> axes_;  // merged as far as possible, those dense in `to` last
};

// Whether to write rows of this size, of a result of so many bytes, with VectorKernels::stream rather than memcpy.
bool streams_rows(size_t row_bytes, size_t all_bytes);
// What a thread should write that way at a time, since it waits at the end.
inline constexpr int64_t kStreamedBytes = int64_t{2} << 20;

// memcpy and memset, on several threads if there is much to do.
void copy_bytes(void* to, const void* from, size_t bytes);
void fill_bytes(void* to, uint8_t value, size_t bytes);

}  // namespace mps
