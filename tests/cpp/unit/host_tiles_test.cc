// Products in tiles, where this machine has them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "plugin/host/tile_kernels.h"

namespace mps {
namespace {

std::vector<float> random_floats(int64_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw;
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = draw(engine);
  return numbers;
}

// The strips of `count` lines of random numbers, each [count, inner] or, across, [inner, count].
struct Side {
  Side(bool is_x, TileLines lie, int64_t many_lines, int64_t numbers_of_each, int pieces, bool scales)
      : lines(lie), count(many_lines), inner(numbers_of_each), numbers(random_floats(count * inner, is_x ? 1 : 2)) {
    const bool along = lines == TileLines::kAlong;
    const int64_t strips = (count + kTileStrip - 1) / kTileStrip, each = strip_elements(inner, pieces);
    packed.resize(static_cast<size_t>(strips * each), 0x7fc0);  // NaN where nothing is written
    exponents.resize(static_cast<size_t>(strips * kTileStrip));
    if (scales) {
      for (int64_t line = 0; line < count; ++line) {
        for (int64_t i = 0; i < inner; ++i) {
          float& number = numbers[place(line, i)];
          number = std::ldexp(number, static_cast<int>(line % 5 - 2) * 25);
        }
      }
    }
    const auto pack = is_x ? tile_kernels()->pack_rows : tile_kernels()->pack_columns;
    for (int64_t i = 0; i < strips; ++i) {
      const int64_t many = std::min(kTileStrip, count - i * kTileStrip), stride = along ? inner : count;
      const float* const from = numbers.data() + place(i * kTileStrip, 0);
      float* const of_strip = exponents.data() + i * kTileStrip;
      EXPECT_TRUE(tile_kernels()->find_exponents(from, lines, stride, many, inner, of_strip));
      pack(from, lines, stride, many, inner, pieces, scales ? of_strip : nullptr, packed.data() + i * each);
    }
  }
  size_t place(int64_t line, int64_t i) const {
    return static_cast<size_t>(lines == TileLines::kAlong ? line * inner + i : i * count + line);
  }
  double at(int64_t line, int64_t i) const { return static_cast<double>(numbers[place(line, i)]); }

  TileLines lines;
  int64_t count, inner;
  std::vector<float> numbers, exponents;
  std::vector<uint16_t> packed;
};

// The largest error of x [m, k] times w [k, n], relative to the sum of the sizes of its terms. The same power of two
// more or less in every number of a line must make none.
double error_of(const Side& x, const Side& w, TilePieces pieces, bool scales, bool adds) {
  const int64_t m = x.count, n = w.count;
  std::vector<float> to(static_cast<size_t>(m * (n + 1)), 5);
  tile_kernels()->multiply(x.packed.data(), scales ? x.exponents.data() : nullptr, m, w.packed.data(),
                           scales ? w.exponents.data() : nullptr, n, x.inner, pieces, adds, to.data(), n + 1, {});
  double worst = 0;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = adds ? 5 : 0, size = sum;
      for (int64_t l = 0; l < x.inner; ++l) {
        const double term = x.at(i, l) * w.at(j, l);
        sum += term;
        size += std::abs(term);
      }
      worst = std::max(worst, std::abs(static_cast<double>(to[static_cast<size_t>(i * (n + 1) + j)]) - sum) / size);
    }
    EXPECT_EQ(to[static_cast<size_t>(i * (n + 1) + n)], 5.0f) << "written beside the columns";
  }
  return worst;
}

TEST(HostTiles, Products) {
  if (tile_kernels() == nullptr) GTEST_SKIP() << "this processor has no tiles";
  constexpr TileLines kAlong = TileLines::kAlong, kAcross = TileLines::kAcross;
  for (int64_t m : {1, 16, 32, 45}) {
    for (int64_t n : {3, 16, 64, 77}) {
      for (int64_t k : {1, 16, 17, 32, 47, 500}) {
        SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k));
        for (TileLines x_lines : {kAlong, kAcross}) {
          for (TileLines w_lines : {kAlong, kAcross}) {
            // Of one piece of x, rounding it is most of the error.
            for (const auto& [dtype, most] :
                 {std::pair<DType, double>{DType::float32, 3e-7}, {DType::float16, 5e-5}, {DType::bfloat16, 4e-3}}) {
              const TilePieces pieces = tile_pieces(dtype);
              for (bool scales : {false, true}) {
                const Side x(true, x_lines, m, k, pieces.x, scales), w(false, w_lines, n, k, pieces.w, scales);
                for (bool adds : {false, true}) EXPECT_LT(error_of(x, w, pieces, scales, adds), most);
              }
            }
          }
        }
      }
    }
  }
}

TEST(HostTiles, ExponentsOfLines) {
  if (tile_kernels() == nullptr) GTEST_SKIP() << "this processor has no tiles";
  const float infinity = std::numeric_limits<float>::infinity(), most = std::numeric_limits<float>::max();
  const float least = std::numeric_limits<float>::denorm_min();
  // Four lines of three.
  const std::vector<float> lines = {1, -3, 0.5f, 0, -0.0f, 0, most, 1, 0, least, 0, -3 * least};
  const std::vector<float> want = {1, 0, 126, -126};
  std::vector<float> across(12), exponents(kTileStrip, 9);
  for (size_t i = 0; i < 12; ++i) across[i % 3 * 4 + i / 3] = lines[i];
  const auto find = tile_kernels()->find_exponents;
  EXPECT_TRUE(find(lines.data(), TileLines::kAlong, 3, 4, 3, exponents.data()));
  EXPECT_EQ(std::vector<float>(exponents.begin(), exponents.begin() + 4), want);
  EXPECT_EQ(exponents.back(), 0) << "of a line that is not there";
  EXPECT_TRUE(find(across.data(), TileLines::kAcross, 4, 4, 3, exponents.data()));
  EXPECT_EQ(std::vector<float>(exponents.begin(), exponents.begin() + 4), want);
  for (float number : {infinity, -infinity, std::nanf("")}) {
    for (size_t i = 0; i < 12; ++i) {
      std::vector<float> with = lines;
      with[i] = number;
      EXPECT_FALSE(find(with.data(), TileLines::kAlong, 3, 4, 3, exponents.data()));
      EXPECT_FALSE(find(with.data(), TileLines::kAcross, 4, 4, 3, exponents.data()));
    }
  }
}

TEST(HostTiles, ModerateNumbers) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const std::vector<float> moderate = {0, -0.0f, 1, -1, 1e-9f, -1e9f};
  EXPECT_TRUE(is_moderate(moderate.data(), 6));
  EXPECT_TRUE(is_moderate(moderate.data(), 0));
  for (float number : {infinity, -infinity, nan, 1e-20f, -1e-40f, 1e20f}) {
    EXPECT_FALSE(is_moderate(&number, 1)) << number;
    const float row[] = {1, number};
    EXPECT_EQ(rows_are_moderate(row, 1, 2), std::abs(number) < 1) << number;  // small ones hide behind the 1
    EXPECT_FALSE(rows_are_moderate(row, 2, 1)) << number;
  }
}

}  // namespace
}  // namespace mps
