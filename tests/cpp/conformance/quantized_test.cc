// Numbers of few bits: blocks, and products with them.
#include <algorithm>
#include <cmath>
#include <limits>

#include "plugin/core/infer_quantized.h"
#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

constexpr DType kFloats[] = {DType::float32, DType::float16, DType::bfloat16};

// 16 or 256 numbers from -1 to 1 that rise, unevenly.
std::vector<double> book_of(int64_t entries) {
  std::vector<double> numbers;
  for (int64_t i = 0; i < entries; ++i) {
    const double x = 2.0 * static_cast<double>(i) / static_cast<double>(entries - 1) - 1;
    numbers.push_back(x * std::abs(x));
  }
  return numbers;
}

Tensor book_tensor(int64_t entries) { return tensor_of(DType::float32, {entries}, book_of(entries)); }

Tensor points_tensor(int64_t entries) {
  const std::vector<double> numbers = book_of(entries);
  std::vector<double> points;
  for (size_t i = 1; i < numbers.size(); ++i) points.push_back((numbers[i - 1] + numbers[i]) / 2);
  return tensor_of(DType::float32, {entries - 1}, points);
}

Tensor codes_tensor(int64_t count, int64_t entries, uint32_t seed) {
  Tensor codes = whole_numbers(DType::int32, {code_bytes(count, entries)}, 1 << 20, seed);
  Tensor bytes = empty_tensor(DType::uint8, codes.shape);
  for (int64_t i = 0; i < bytes.elements(); ++i)
    bytes.data<uint8_t>()[i] = static_cast<uint8_t>(codes.data<int32_t>()[i]);
  return bytes;
}

class Quantized : public Exam, public ::testing::WithParamInterface<int64_t> {
 protected:
  int64_t entries() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Entries, Quantized, ::testing::Values(16, 256));

void record_quantize(Graph& g, DType dtype, int64_t count, int64_t entries, int64_t blocksize) {
  const Value x = g.placeholder(dtype, {count});
  const Value absmax = g.placeholder(DType::float32, {block_count(count, blocksize)});
  const Value points = g.placeholder(DType::float32, {entries - 1}), codes = g.placeholder(DType::uint8, {entries});
  g.result(g.quantize_blockwise(x, absmax, points, codes, blocksize));
}

// The codes, not in order.
Tensor level_codes(int64_t entries) {
  Tensor codes = empty_tensor(DType::uint8, {entries});
  for (int64_t i = 0; i < entries; ++i) codes.data<uint8_t>()[i] = static_cast<uint8_t>((i * 7 + 3) % entries);
  return codes;
}

TEST_P(Quantized, Blocks) {
  for (DType dtype : kFloats) {
    for (int64_t blocksize : {1, 3, 32, 64, 100, 4096, 8192}) {
      for (int64_t count : {1, 2, 31, 64, 333, 9001}) {
        SCOPED_TRACE(std::to_string(count) + " in blocks of " + std::to_string(blocksize) + " of " + name(dtype));
        const Tensor absmax = random_numbers(DType::float32, {block_count(count, blocksize)}, 0.5, 1.5, 3);
        Graph g;
        record_quantize(g, dtype, count, entries(), blocksize);
        expect_reference(
            g, {random_numbers(dtype, {count}, -1, 1, 1), absmax, points_tensor(entries()), level_codes(entries())});
        Graph back;
        const Value codes = back.placeholder(DType::uint8, {code_bytes(count, entries())});
        const Value scale = back.placeholder(DType::float32, {block_count(count, blocksize)});
        const Value book = back.placeholder(DType::float32, {entries()});
        back.result(back.dequantize_blockwise(codes, scale, book, blocksize, dtype, {count, 1}));
        expect_reference(back, {codes_tensor(count, entries(), 4), absmax, book_tensor(entries())});
      }
    }
  }
}

TEST_P(Quantized, SpecialValues) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  Graph g;
  record_quantize(g, DType::float32, 40, entries(), 4);
  const Tensor x = tensor_of(DType::float32, {40}, {0, -0.0, 0, 0, infinity, 1, -1, 0, nan, 1, -infinity, 0, 1e-30, 1});
  const Tensor absmax = tensor_of(DType::float32, {10}, {0, infinity, nan, 1, 2, 1e-37, 1, 0, 3, 4});
  expect_reference(g, {x, absmax, points_tensor(entries()), level_codes(entries())});
}

void record_product(Graph& g, DType dtype, Dims x, Dims matrix, int64_t entries, int64_t blocksize, bool transposed) {
  const int64_t count = element_count(matrix), rows = matrix[0], columns = matrix[1];
  const Value activations = g.placeholder(dtype, x);
  const Value codes = g.placeholder(DType::uint8, {code_bytes(count, entries)});
  const Value absmax = g.placeholder(DType::float32, {block_count(count, blocksize)});
  const Value book = g.placeholder(DType::float32, {entries});
  g.result(g.quantized_matrix_multiplication(activations, {codes, absmax, book, blocksize, rows, columns}, transposed));
}

TEST_P(Quantized, Products) {
  struct Case {
    int64_t rows, columns, blocksize;
  };
  // Rows that are whole blocks, that lie within one, that blocks cross, and that begin within a byte.
  const Case cases[] = {{7, 128, 64}, {100, 64, 256}, {40, 96, 64}, {9, 33, 32}, {70, 5, 4096}, {300, 64, 32}};
  for (DType dtype : kFloats) {
    for (const Case& c : cases) {
      for (int64_t m : {1, 2, 5, 13, 100}) {
        for (bool transposed : {true, false}) {
          SCOPED_TRACE(std::to_string(m) + " rows times " + to_string(Shape{c.rows, c.columns}) + " in blocks of " +
                       std::to_string(c.blocksize) + (transposed ? " transposed " : " ") + name(dtype));
          const Shape x{m, transposed ? c.columns : c.rows}, matrix{c.rows, c.columns};
          const int64_t count = c.rows * c.columns;
          Graph g;
          record_product(g, dtype, x, matrix, entries(), c.blocksize, transposed);
          const Tensor absmax = random_numbers(DType::float32, {block_count(count, c.blocksize)}, 0.5, 1.5, 3);
          expect_reference(
              g,
              {random_numbers(dtype, x, -1, 1, 1), codes_tensor(count, entries(), 4), absmax, book_tensor(entries())},
              2, 1e-4);
        }
      }
    }
  }
}

// Beyond what fast ways take at a time: rows, and elements of a sum.
TEST_P(Quantized, LongProducts) {
  struct Case {
    int64_t m, rows, columns, blocksize;
  };
  for (const Case& c : {Case{1030, 33, 70, 64}, Case{40, 40, 1100, 100}, Case{40, 1100, 300, 64}}) {
    for (bool transposed : {true, false}) {
      const Shape x{c.m, transposed ? c.columns : c.rows};
      SCOPED_TRACE(to_string(x) + (transposed ? " transposed" : ""));
      const int64_t count = c.rows * c.columns;
      Graph g;
      record_product(g, DType::float32, x, {c.rows, c.columns}, entries(), c.blocksize, transposed);
      const Tensor absmax = random_numbers(DType::float32, {block_count(count, c.blocksize)}, 0.5, 1.5, 3);
      expect_reference(g,
                       {random_numbers(DType::float32, x, -1, 1, 1), codes_tensor(count, entries(), 4), absmax,
                        book_tensor(entries())},
                       2, 1e-4);
    }
  }
}

// Numbers that are not finite, and such as fast ways must not take for nothing, or for infinite. The other rows are
// right whatever is in one of them.
TEST_P(Quantized, ProductsOfSpecialValues) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const auto expect = [&](DType dtype, bool transposed, const std::vector<double>& some_x,
                          const std::vector<double>& absmax, double scale) {
    SCOPED_TRACE(std::string(name(dtype)) + (transposed ? " transposed" : ""));
    Graph g;
    record_product(g, dtype, {40, 64}, {64, 64}, entries(), 64, transposed);
    const Tensor random = random_numbers(dtype, {40, 64}, -scale, scale, 1);
    std::vector<double> numbers;
    for (int64_t i = 0; i < random.elements(); ++i) numbers.push_back(value_at(random, i));
    for (size_t i = 0; i < some_x.size(); ++i) numbers[i * 64 + 3] = some_x[i];
    expect_reference(g,
                     {tensor_of(dtype, {40, 64}, numbers), codes_tensor(64 * 64, entries(), 4),
                      tensor_of(DType::float32, {64}, absmax), book_tensor(entries())},
                     2, 1e-4 * scale * absmax[0]);
  };
  for (DType dtype : kFloats) {
    for (bool transposed : {true, false}) expect(dtype, transposed, {infinity, 1, -infinity, nan, 0}, {1}, 1);
  }
  expect(DType::float32, true, {0}, {1, infinity, nan, 0, 2, 3, 1, 1}, 1);
  expect(DType::float32, true, {3e38, 1}, {1e-3}, 1);
  expect(DType::float32, true, {0}, {1e-20}, 1e-15);
  expect(DType::float32, true, {0}, {1e20}, 1e15);
}

TEST_P(Quantized, ProductsOfNothing) {
  Graph g;
  record_product(g, DType::float32, {0, 64}, {8, 64}, entries(), 64, true);
  expect_reference(g, {empty_tensor(DType::float32, {0, 64}), codes_tensor(512, entries(), 1),
                       random_numbers(DType::float32, {8}, 1, 2, 2), book_tensor(entries())});
}

class Integers : public Exam {};

TEST_F(Integers, Products) {
  for (int64_t m : {1, 3, 24, 25, 40}) {
    for (int64_t n : {1, 5, 64, 131}) {
      for (int64_t k : {1, 31, 64, 200, 3000}) {
        SCOPED_TRACE(to_string(Shape{m, n, k}));
        const Tensor x = whole_numbers(DType::int8, {m, k}, 127, 1);
        Graph g;
        const Value a = g.placeholder(DType::int8, {m, k});
        g.result(g.int8_matrix_multiplication(a, g.placeholder(DType::int8, {n, k})));
        expect_reference(g, {x, whole_numbers(DType::int8, {n, k}, 127, 2)});
        Graph ternary;
        const Value b = ternary.placeholder(DType::int8, {m, k}),
                    w = ternary.placeholder(DType::uint8, {(n + 3) / 4, k});
        ternary.result(ternary.ternary_matrix_multiplication(b, w, n));
        Tensor packed = codes_tensor((n + 3) / 4 * k, 256, 5);
        packed.shape = {(n + 3) / 4, k};
        expect_reference(ternary, {x, packed});
      }
    }
  }
}

TEST_F(Integers, OnScales) {
  const std::pair<Shape, size_t> cases[] = {{{7}, 0},         {{3, 5}, 0},      {{3, 5}, 1},   {{4, 3, 2, 6, 5}, 1},
                                            {{300, 1000}, 0}, {{300, 1000}, 1}, {{1, 2000}, 0}};
  for (const auto& [shape, axis] : cases) {
    SCOPED_TRACE(to_string(shape) + " along " + std::to_string(axis));
    Graph g;
    const Value x = g.placeholder(DType::int8, shape);
    g.result(g.dequantize(x, g.placeholder(DType::float32, {shape[axis]}), axis));
    expect_reference(
        g, {whole_numbers(DType::int8, shape, 127, 1), random_numbers(DType::float32, {shape[axis]}, -2, 2, 2)});
  }
}

TEST_F(Integers, OnScalesOfSpecialValues) {
  const double infinity = std::numeric_limits<double>::infinity();
  Graph g;
  const Value x = g.placeholder(DType::int8, {2, 6});
  g.result(g.dequantize(x, g.placeholder(DType::float32, {6}), 1));
  const Tensor numbers = tensor_of(DType::int8, {2, 6}, {-128, 127, 0, 1, 0, 0, 1, -1, 3, 0, 5, 0});
  expect_reference(g, {numbers, tensor_of(DType::float32, {6}, {0, infinity, std::nan(""), -infinity, 3e38, 1e-44})});
}

TEST_F(Integers, GreatestSums) {
  const int64_t k = 20000;
  const Tensor lowest = tensor_of(DType::int8, {2, k}, {-128});
  Graph g;
  const Value x = g.placeholder(DType::int8, {2, k});
  g.result(g.int8_matrix_multiplication(x, x));
  expect_reference(g, {lowest});
}

}  // namespace
}  // namespace mps::exam
