#include "plugin/host/collect_host.h"

#include <algorithm>
#include <cstring>

namespace mps {
namespace {

template <typename T>
void collect_run(const T* from, int64_t stride, int64_t count, T* to) {
  if (stride == 1) {
    std::memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
  } else if (stride == 0) {
    const T value = *from;
    for (int64_t i = 0; i < count; ++i) to[i] = value;
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * stride];
  }
}

// Whole rows of so few elements that a loop over each would cost more than it moves.
template <int64_t kLength, typename T>
void collect_short_rows(const T* from, int64_t row_stride, int64_t stride, int64_t rows, T* to) {
  for (int64_t row = 0; row < rows; ++row, from += row_stride, to += kLength) {
    for (int64_t i = 0; i < kLength; ++i) to[i] = from[i * stride];
  }
}

template <typename T>
void collect_rows(const T* from, int64_t row_stride, int64_t stride, int64_t rows, int64_t length, T* to) {
  switch (length) {
    case 2:
      return collect_short_rows<2>(from, row_stride, stride, rows, to);
    case 3:
      return collect_short_rows<3>(from, row_stride, stride, rows, to);
    case 4:
      return collect_short_rows<4>(from, row_stride, stride, rows, to);
    case 8:
      return collect_short_rows<8>(from, row_stride, stride, rows, to);
    default:
      for (int64_t row = 0; row < rows; ++row) collect_run(from + row * row_stride, stride, length, to + row * length);
  }
}

// One row, from its element `phase` on, again and again.
template <typename T>
void collect_periodic(const T* from, int64_t stride, int64_t length, int64_t phase, int64_t count, T* to) {
  const int64_t first = std::min(count, length - phase);
  collect_run(from + phase * stride, stride, first, to);
  collect_run(from, stride, std::min(count - first, phase), to + first);
  for (int64_t done = std::min(count, length); done < count;) {
    const int64_t more = std::min(done, count - done);
    std::memcpy(to + done, to, static_cast<size_t>(more) * sizeof(T));
    done += more;
  }
}

template <typename T>
void collect_as(const T* from, Dims shape, Dims strides, int64_t begin, int64_t count, T* to) {
  const size_t last = shape.size() - 1;
  const int64_t length = shape[last], stride = strides[last];
  bool periodic = true;
  for (size_t d = 0; d < last; ++d) periodic = periodic && strides[d] == 0;
  if (periodic) return collect_periodic(from, stride, length, begin % length, count, to);

  int64_t index[kMaxRank];  // of the row that `from` points to; the last dimension's is kept apart
  int64_t rest = begin / length;
  for (size_t d = last; d-- > 0;) {
    index[d] = rest % shape[d];
    rest /= shape[d];
    from += index[d] * strides[d];
  }
  const auto next_rows = [&](int64_t rows) {  // at most to the end of the innermost dimension of rows
    index[last - 1] += rows;
    from += rows * strides[last - 1];
    for (size_t d = last - 1; d > 0 && index[d] == shape[d]; --d) {
      from += strides[d - 1] - shape[d] * strides[d];
      index[d] = 0;
      ++index[d - 1];
    }
  };
  const int64_t phase = begin % length;
  if (phase != 0) {
    const int64_t run = std::min(count, length - phase);
    collect_run(from + phase * stride, stride, run, to);
    to += run;
    count -= run;
    next_rows(1);
  }
  while (count >= length) {
    const int64_t rows = std::min(count / length, shape[last - 1] - index[last - 1]);
    collect_rows(from, strides[last - 1], stride, rows, length, to);
    to += rows * length;
    count -= rows * length;
    next_rows(rows);
  }
  if (count > 0) collect_run(from, stride, count, to);
}

// Calls f with a value of an unsigned type of that size.
template <typename F>
void with_size(size_t bytes, F f) {
  switch (bytes) {
    case 1:
      return f(uint8_t{});
    case 2:
      return f(uint16_t{});
    case 4:
      return f(uint32_t{});
    default:
      return f(uint64_t{});
  }
}

}  // namespace

void collect(size_t element_bytes, const void* memory, Dims shape, Dims strides, int64_t begin, int64_t count,
             void* out) {
  with_size(element_bytes, [&](auto zero) {
    using T = decltype(zero);
    collect_as(static_cast<const T*>(memory), shape, strides, begin, count, static_cast<T*>(out));
  });
}

void repeat(size_t element_bytes, const void* element, int64_t count, void* out) {
  with_size(element_bytes, [&](auto zero) {
    using T = decltype(zero);
    collect_run(static_cast<const T*>(element), 0, count, static_cast<T*>(out));
  });
}

}  // namespace mps
