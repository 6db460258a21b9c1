// Products in tiles, where this machine has them.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
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

// As many strips as `count` needs, from rows that lie `stride` apart or, of `columns_apart`, columns.
template <typename Pack>
std::vector<uint16_t> strips_of(Pack pack, const float* from, int64_t strip_stride, int64_t stride, int64_t count,
                                int64_t inner, int pieces) {
  const int64_t strips = (count + kTileStrip - 1) / kTileStrip, each = strip_elements(inner, pieces);
  std::vector<uint16_t> packed(static_cast<size_t>(strips * each), 0x7fc0);  // NaN where nothing is written
  for (int64_t i = 0; i < strips; ++i) {
    pack(from + i * strip_stride, stride, std::min(kTileStrip, count - i * kTileStrip), inner, pieces,
         packed.data() + i * each);
  }
  return packed;
}

// The largest error of x [m, k] times w, relative to the sum of the sizes of its terms.
double error_of(int64_t m, int64_t n, int64_t k, TilePieces pieces, bool side_by_side, bool adds) {
  const TileKernels& kernels = *tile_kernels();
  const std::vector<float> x = random_floats(m * k, 1), w = random_floats(n * k, 2);  // [m, k]; [n, k] or [k, n]
  const auto x_strips = strips_of(kernels.pack_rows, x.data(), kTileStrip * k, k, m, k, pieces.x);
  const auto w_strips = side_by_side ? strips_of(kernels.pack_rows_of_columns, w.data(), kTileStrip, n, n, k, pieces.w)
                                     : strips_of(kernels.pack_columns, w.data(), kTileStrip * k, k, n, k, pieces.w);
  std::vector<float> to(static_cast<size_t>(m * (n + 1)), 5);
  kernels.multiply(x_strips.data(), m, w_strips.data(), n, k, pieces, adds, to.data(), n + 1);
  double worst = 0;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = adds ? 5 : 0, size = sum;
      for (int64_t l = 0; l < k; ++l) {
        const double term = static_cast<double>(x[static_cast<size_t>(i * k + l)]) *
                            static_cast<double>(w[static_cast<size_t>(side_by_side ? l * n + j : j * k + l)]);
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
  for (int64_t m : {1, 32, 45}) {
    for (int64_t n : {3, 16, 64, 77}) {
      for (int64_t k : {1, 16, 17, 32, 47, 500}) {
        for (bool side_by_side : {false, true}) {
          for (bool adds : {false, true}) {
            SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k));
            EXPECT_LT(error_of(m, n, k, tile_pieces(DType::float32), side_by_side, adds), 3e-7);
            // Of one piece of x, rounding it is most of the error.
            EXPECT_LT(error_of(m, n, k, tile_pieces(DType::float16), side_by_side, adds), 5e-5);
            EXPECT_LT(error_of(m, n, k, tile_pieces(DType::bfloat16), side_by_side, adds), 4e-3);
          }
        }
      }
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
