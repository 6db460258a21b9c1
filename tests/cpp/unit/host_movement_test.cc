// Copies between strided ranges, against one plain loop.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "plugin/host/cache_size_host.h"
#include "plugin/host/movement_host.h"

namespace mps {
namespace {

// Copies element by element, from any strides to any strides.
void copy_plainly(size_t size, Dims shape, char* to, Dims to_strides, const char* from, Dims from_strides) {
  const int64_t count = element_count(shape);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, to_at = 0, from_at = 0;
    for (size_t axis = shape.size(); axis-- > 0;) {
      const int64_t index = rest % shape[axis];
      rest /= shape[axis];
      to_at += index * to_strides[axis];
      from_at += index * from_strides[axis];
    }
    std::memcpy(to + to_at * static_cast<int64_t>(size), from + from_at * static_cast<int64_t>(size), size);
  }
}

// A permutation of dense strides, with holes and some axes backwards. `first` becomes the lowest element's distance
// below element 0, `extent` the number of elements spanned.
Ints random_strides(std::mt19937& random, Dims shape, bool may_repeat, int64_t* first, int64_t* extent) {
  std::vector<size_t> order(shape.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (random() % 3 != 0) std::shuffle(order.begin(), order.end(), random);
  Ints strides;
  strides.resize(shape.size(), 0);
  int64_t step = random() % 4 == 0 ? 2 : 1;
  *first = 0;
  *extent = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const size_t axis = order[i];
    if (may_repeat && random() % 6 == 0) continue;  // stays 0
    const bool backwards = random() % 5 == 0;
    strides[axis] = backwards ? -step : step;
    if (backwards) *first += (shape[axis] - 1) * step;
    *extent += (shape[axis] - 1) * step;
    step *= shape[axis];
    if (random() % 4 == 0) step += 3;
  }
  return strides;
}

TEST(CopyProgram, MatchesAPlainLoop) {
  std::mt19937 random(5);
  for (int round = 0; round < 3000; ++round) {
    const size_t size = size_t{1} << (random() % 4);
    Shape shape;
    const size_t rank = random() % 5;
    for (size_t i = 0; i < rank; ++i) shape.push_back(1 + static_cast<int64_t>(random() % (rank < 3 ? 90 : 9)));
    int64_t to_first, to_extent, from_first, from_extent;
    const Ints to_strides = random_strides(random, shape, false, &to_first, &to_extent);
    const Ints from_strides = random_strides(random, shape, true, &from_first, &from_extent);
    std::vector<char> from(static_cast<size_t>(from_extent) * size);
    for (char& byte : from) byte = static_cast<char>(random());
    std::vector<char> want(static_cast<size_t>(to_extent) * size, 77), got = want;
    const int64_t bytes = static_cast<int64_t>(size);
    copy_plainly(size, shape, want.data() + to_first * bytes, to_strides, from.data() + from_first * bytes,
                 from_strides);
    CopyProgram::compile(size, shape, to_strides, from_strides)
        .run(got.data() + to_first * bytes, from.data() + from_first * bytes);
    ASSERT_EQ(got, want) << round << ": " << to_string(shape) << " to " << to_string(to_strides) << " from "
                         << to_string(from_strides);
  }
}

TEST(CopyProgram, LargeOnesRunInParts) {
  struct Case {
    Shape shape;
    Ints to, from;
  };
  const Case cases[] = {
      {{1000000}, {1}, {1}},                 // dense
      {{1000000}, {1}, {0}},                 // one element
      {{500000}, {1}, {2}},                  // every second
      {{1000, 1000}, {1000, 1}, {1, 1000}},  // transposed
      {{1000, 500}, {700, 1}, {600, 1}},     // rows
      {{3, 333, 401}, {333 * 401, 401, 1}, {1, 3, 999}},
  };
  for (const Case& c : cases) {
    int64_t to_extent = 1, from_extent = 1;
    for (size_t i = 0; i < c.shape.size(); ++i) {
      to_extent += (c.shape[i] - 1) * c.to[i];
      from_extent += (c.shape[i] - 1) * c.from[i];
    }
    std::vector<int32_t> from(static_cast<size_t>(from_extent)), want(static_cast<size_t>(to_extent), -1), got = want;
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<int32_t>(i);
    copy_plainly(4, c.shape, reinterpret_cast<char*>(want.data()), c.to, reinterpret_cast<char*>(from.data()), c.from);
    CopyProgram::compile(4, c.shape, c.to, c.from).run(got.data(), from.data());
    EXPECT_TRUE(got == want) << to_string(c.shape);
  }
}

template <typename T>
void expect_turned(int64_t rows, int64_t lines, int64_t to_stride, size_t begin) {
  std::vector<T> from(static_cast<size_t>(rows * lines)), to(begin + static_cast<size_t>(rows * to_stride) + 64, 77);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<T>(i * 2654435761u);
  const size_t aligned = (64 - reinterpret_cast<uintptr_t>(to.data()) % 64) % 64 / sizeof(T);
  T* const out = to.data() + aligned + begin;
  CopyProgram::compile(sizeof(T), {rows, lines}, {to_stride, 1}, {1, rows}).run(out, from.data());
  size_t wrong = 0;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t line = 0; line < lines; ++line) wrong += out[row * to_stride + line] != from[line * rows + row];
    for (int64_t gap = lines; gap < to_stride && row + 1 < rows; ++gap) wrong += out[row * to_stride + gap] != 77;
  }
  EXPECT_EQ(wrong, 0u) << sizeof(T) << " bytes, " << rows << " x " << lines << ", stride " << to_stride << ", from "
                       << begin;
}

// Tiles of whole cache lines go past the caches; those that begin or end within one do not.
TEST(CopyProgram, TurnsWhatIsBeyondTheCaches) {
  const int64_t bytes = static_cast<int64_t>(cache_bytes());
  const int64_t of_eight = bytes / 2 / 8 / 320 + 7, of_four = bytes / 2 / 4 / 576 + 7, of_two = bytes / 2 / 2 / 640 + 7;
  expect_turned<uint64_t>(of_eight, 320, 320, 0);
  expect_turned<uint32_t>(of_four, 576, 576, 0);
  expect_turned<uint32_t>(of_four, 576, 592, 0);
  expect_turned<uint32_t>(of_four, 576, 577, 0);
  expect_turned<uint32_t>(of_four, 576, 576, 3);
  expect_turned<uint16_t>(of_two, 640, 640, 0);
  expect_turned<uint8_t>(bytes / 2 / 640 + 7, 640, 640, 0);
}

TEST(CopyProgram, NothingToCopy) {
  CopyProgram::compile(4, {0, 3}, {3, 1}, {3, 1}).run(nullptr, nullptr);
  EXPECT_TRUE(CopyProgram::compile(4, {2, 3}, {3, 1}, {3, 1}).is_dense());
  EXPECT_TRUE(CopyProgram::compile(4, {3, 2}, {1, 3}, {1, 3}).is_dense());  // the same order on both sides
  EXPECT_FALSE(CopyProgram::compile(4, {2, 3}, {3, 1}, {1, 2}).is_dense());
  EXPECT_TRUE(CopyProgram::compile(4, {2, 3}, {3, 1}, {1, 2}).is_transpose());
}

TEST(CopyBytes, LargeAndSmall) {
  for (size_t bytes : {size_t{0}, size_t{5}, size_t{3} << 20}) {
    std::vector<unsigned char> from(bytes), to(bytes);
    for (size_t i = 0; i < bytes; ++i) from[i] = static_cast<unsigned char>(i * 31);
    copy_bytes(to.data(), from.data(), bytes);
    EXPECT_EQ(to, from);
    fill_bytes(to.data(), 9, bytes);
    EXPECT_EQ(to, std::vector<unsigned char>(bytes, 9));
  }
}

TEST(CopyBytes, PastTheCachesAtAnyByte) {
  const size_t bytes = cache_bytes() / 2 + 3;
  std::vector<unsigned char> from(bytes + 8, 1), to(bytes + 8, 0);
  for (size_t i = 0; i < from.size(); i += 61) from[i] = static_cast<unsigned char>(i / 61);
  copy_bytes(to.data() + 5, from.data() + 2, bytes);
  EXPECT_EQ(std::memcmp(to.data() + 5, from.data() + 2, bytes), 0);
  EXPECT_EQ(to[4], 0);
  EXPECT_EQ(to[bytes + 5], 0);
}

}  // namespace
}  // namespace mps
