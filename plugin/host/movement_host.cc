#include "plugin/host/movement_host.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "plugin/core/check.h"
#include "plugin/host/cache_size_host.h"
#include "plugin/host/threads.h"
#include "plugin/host/transpose_host.h"
#include "plugin/host/vector_kernels.h"

namespace mps {
namespace {

// Work for one thread between two looks at what is left: some microseconds.
constexpr int64_t kPieceElements = 32768;
constexpr int64_t kPieceLines = 512;  // elements in cache lines of their own
constexpr int64_t kPieceBytes = 256 << 10;

bool is_beyond_caches(size_t result_bytes) { return 2 * result_bytes > cache_bytes(); }

}  // namespace

// Walks over the axes outside of the last ones, from any starting point.
class CopyProgram::Cursor {
 public:
  Cursor(Span<const Axis> axes, int64_t start) : axes_(axes) {
    index_.resize(axes.size());
    for (size_t i = axes.size(); i-- > 0;) {
      index_[i] = start % axes[i].size;
      start /= axes[i].size;
      to_ += index_[i] * axes[i].to;
      from_ += index_[i] * axes[i].from;
    }
  }

  int64_t to() const { return to_; }
  int64_t from() const { return from_; }

  void next() {
    for (size_t i = axes_.size(); i-- > 0;) {
      to_ += axes_[i].to;
      from_ += axes_[i].from;
      if (++index_[i] < axes_[i].size) return;
      index_[i] = 0;
      to_ -= axes_[i].size * axes_[i].to;
      from_ -= axes_[i].size * axes_[i].from;
    }
  }

 private:
  const Span<const Axis> axes_;
  Ints index_;
  int64_t to_ = 0;
  int64_t from_ = 0;
};

CopyProgram CopyProgram::compile(size_t element_bytes, Dims shape, Dims to_strides, Dims from_strides) {
  CopyProgram program;
  program.element_bytes_ = element_bytes;
  program.elements_ = element_count(shape);
  if (program.elements_ == 0) return program;

  SmallVector<Axis, kMaxRank> axes;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1) axes.push_back({shape[i], to_strides[i], from_strides[i]});
  }
  // The order of the axes is free. Writing forwards is what memory likes best.
  std::stable_sort(axes.begin(), axes.end(),
                   [](const Axis& a, const Axis& b) { return std::abs(a.to) > std::abs(b.to); });
  for (const Axis& axis : axes) {
    if (!program.axes_.empty()) {
      Axis& outer = program.axes_.back();
      if (outer.to == axis.to * axis.size && outer.from == axis.from * axis.size) {
        outer = {outer.size * axis.size, axis.to, axis.from};
        continue;
      }
    }
    program.axes_.push_back(axis);
  }
  if (program.axes_.empty()) program.axes_.push_back({1, 1, 1});
  program.choose_kernel();
  return program;
}

void CopyProgram::choose_kernel() {
  const Axis last = axes_.back();
  kernel_ = Kernel::kStrided;
  if (last.to != 1) return;
  if (last.from == 1) {
    kernel_ = axes_.size() == 1 ? Kernel::kDense : Kernel::kRows;
  } else if (last.from == 0) {
    kernel_ = Kernel::kFill;
  } else {
    for (size_t i = 0; i + 1 < axes_.size(); ++i) {
      if (axes_[i].from != 1) continue;
      std::rotate(axes_.begin() + i, axes_.begin() + i + 1, axes_.end() - 1);
      kernel_ = Kernel::kTranspose;
      return;
    }
  }
}

// Elements [begin, end) of the last axis; for kTranspose lines [begin, end) of the axis before it.
template <typename T>
void CopyProgram::run_line(T* to, const T* from, int64_t begin, int64_t end) const {
  const Axis last = axes_.back();
  switch (kernel_) {
    case Kernel::kNothing:
      return;
    case Kernel::kDense:
    case Kernel::kRows: {
      const size_t bytes = static_cast<size_t>(end - begin) * sizeof(T);
      streams() ? vector_kernels().stream(to + begin, from + begin, bytes)
                : static_cast<void>(std::memcpy(to + begin, from + begin, bytes));
      return;
    }
    case Kernel::kFill:
      std::fill(to + begin, to + end, *from);
      return;
    case Kernel::kTranspose: {
      const int64_t to_stride = axes_[axes_.size() - 2].to;
      return transpose_block(to + begin * to_stride, to_stride, from + begin, last.from, end - begin, last.size,
                             streams_tiles());
    }
    case Kernel::kStrided:
      for (int64_t i = begin; i < end; ++i) to[i * last.to] = from[i * last.from];
      return;
  }
}

template <typename T>
void CopyProgram::run_as(T* to, const T* from) const {
  const bool two_axes = kernel_ == Kernel::kTranspose;
  const Span<const Axis> outer(axes_.data(), axes_.size() - (two_axes ? 2 : 1));
  const int64_t lines = axes_[outer.size()].size;  // what run_line() counts in
  const int64_t line_elements = two_axes ? axes_.back().size : 1;
  int64_t outer_count = 1;
  for (const Axis& axis : outer) outer_count *= axis.size;
  // Long lines are cut into parts, so that several threads find something to do even where there is only one.
  int64_t piece = streams() ? kStreamedBytes / static_cast<int64_t>(element_bytes_) : kPieceElements;
  if (is_far_apart()) piece = kPieceLines;
  int64_t part = std::max<int64_t>(1, piece / line_elements);
  if (two_axes) part = (part + kTile<T> - 1) / kTile<T> * kTile<T>;
  const int64_t parts = (lines + part - 1) / part;
  const int64_t grain = std::max<int64_t>(1, piece / (std::min(lines, part) * line_elements));
  parallel_for(outer_count * parts, grain, [&](int64_t begin, int64_t end) {
    Cursor cursor(outer, begin / parts);
    int64_t at = begin % parts;
    for (int64_t i = begin; i < end; ++i) {
      run_line(to + cursor.to(), from + cursor.from(), at * part, std::min(lines, (at + 1) * part));
      if (++at == parts) {
        at = 0;
        cursor.next();
      }
    }
    if (streams() || streams_tiles()) vector_kernels().end_stream();
  });
}

// Every element lies in a cache line of its own, for which the copy waits.
bool CopyProgram::is_far_apart() const {
  constexpr int64_t kLineBytes = 64;
  const int64_t bytes = static_cast<int64_t>(element_bytes_);
  return kernel_ == Kernel::kStrided &&
         std::max(std::abs(axes_.back().to), std::abs(axes_.back().from)) * bytes >= kLineBytes;
}

bool CopyProgram::streams() const {
  const bool has_rows = kernel_ == Kernel::kDense || kernel_ == Kernel::kRows;
  return has_rows && streams_rows(static_cast<size_t>(axes_.back().size) * element_bytes_,
                                  static_cast<size_t>(elements_) * element_bytes_);
}

bool CopyProgram::streams_tiles() const {
  return kernel_ == Kernel::kTranspose && is_beyond_caches(static_cast<size_t>(elements_) * element_bytes_);
}

void CopyProgram::run(void* to, const void* from) const {
  if (kernel_ == Kernel::kNothing || (kernel_ == Kernel::kDense && to == from)) return;
  switch (element_bytes_) {
    case 1:
      return run_as(static_cast<uint8_t*>(to), static_cast<const uint8_t*>(from));
    case 2:
      return run_as(static_cast<uint16_t*>(to), static_cast<const uint16_t*>(from));
    case 4:
      return run_as(static_cast<uint32_t*>(to), static_cast<const uint32_t*>(from));
    case 8:
      return run_as(static_cast<uint64_t*>(to), static_cast<const uint64_t*>(from));
  }
  MPS_THROW(kInternal, "no element of ", element_bytes_, " bytes.");
}

// Beyond the caches, a store that goes through them first fetches what it overwrites: half as much traffic again. The C
// library's memcpy goes past them when it is given so much at once, but it only sees pieces here. Of a short row too
// much is its ends, which are no whole lines.
bool streams_rows(size_t row_bytes, size_t all_bytes) {
  constexpr size_t kShortRow = 512;
  return row_bytes >= kShortRow && is_beyond_caches(all_bytes);
}

void copy_bytes(void* to, const void* from, size_t bytes) {
  const bool streams = streams_rows(bytes, bytes);
  const VectorKernels& kernels = vector_kernels();
  parallel_for(static_cast<int64_t>(bytes), streams ? kStreamedBytes : kPieceBytes, [&](int64_t begin, int64_t end) {
    char* const target = static_cast<char*>(to) + begin;
    const char* const source = static_cast<const char*>(from) + begin;
    const size_t count = static_cast<size_t>(end - begin);
    if (streams) {
      kernels.stream(target, source, count);
      kernels.end_stream();
    } else {
      std::memcpy(target, source, count);
    }
  });
}

void fill_bytes(void* to, uint8_t value, size_t bytes) {
  parallel_for(static_cast<int64_t>(bytes), kPieceBytes, [&](int64_t begin, int64_t end) {
    std::memset(static_cast<char*>(to) + begin, value, static_cast<size_t>(end - begin));
  });
}

uint64_t CopyProgram::cost_ns() const {
  const uint64_t elements = static_cast<uint64_t>(elements_);
  switch (kernel_) {
    case Kernel::kNothing:
    case Kernel::kDense:
    case Kernel::kRows:
    case Kernel::kFill:
      return 20 + elements * element_bytes_ / 10;
    case Kernel::kTranspose:
    case Kernel::kStrided:
      return 20 + elements * (is_far_apart() ? 8 : 1);
  }
  __builtin_unreachable();
}

}  // namespace mps
