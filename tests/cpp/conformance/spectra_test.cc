// Fourier transforms of complex and of real lines, in both directions: lengths of every kind of factor, and lines that
// lie side by side, one behind the other or both.
#include <cmath>

#include "tests/cpp/conformance/exam.h"

namespace mps::exam {
namespace {

class Spectra : public Exam, public ::testing::WithParamInterface<NodeKind> {
 protected:
  static Value record(Graph& graph, NodeKind kind, Value x, int64_t length, bool inverse, double scale) {
    if (kind == NodeKind::fast_fourier_transform) return graph.fast_fourier_transform(x, inverse, scale);
    if (kind == NodeKind::real_to_hermitean_fft) return graph.real_to_hermitean_fft(x, inverse, scale);
    return graph.hermitean_to_real_fft(x, length, inverse, scale);
  }

  void transform(int64_t before, int64_t length, int64_t behind, bool inverse, double scale = 1) {
    SCOPED_TRACE(to_string(Shape{before, length, behind}) + (inverse ? " inverse" : ""));
    Shape shape{before, GetParam() == NodeKind::hermitean_to_real_fft ? length / 2 + 1 : length, behind};
    if (GetParam() != NodeKind::real_to_hermitean_fft) shape.push_back(2);
    Graph graph;
    const Value x = graph.placeholder(DType::float32, shape);
    graph.result(record(graph, GetParam(), x, length, inverse, scale));
    // A sum of `length` terms, each of at most 2 in size, has a root of that as its own.
    const double size = scale * std::sqrt(static_cast<double>(length));
    expect_reference(graph, {random_numbers(DType::float32, shape, -1, 1, 1)}, 4, 3e-6 * size);
  }
};

INSTANTIATE_TEST_SUITE_P(Kinds, Spectra,
                         ::testing::Values(NodeKind::fast_fourier_transform, NodeKind::real_to_hermitean_fft,
                                           NodeKind::hermitean_to_real_fft),
                         [](const auto& test) { return std::string(mps::info(test.param).name); });

TEST_P(Spectra, OfAllShortLengths) {
  for (int64_t length = 1; length <= 66; ++length) transform(1, length, 1, length % 2 == 0);
}

TEST_P(Spectra, InBothDirections) {
  for (bool inverse : {false, true}) {
    for (int64_t length : {1, 2, 7, 8, 15, 16}) transform(2, length, 3, inverse, 0.25);
  }
}

TEST_P(Spectra, OfLinesThatLieInAnyWay) {
  for (int64_t length : {12, 15}) {
    for (const auto& [before, behind] :
         {std::pair<int64_t, int64_t>{17, 1}, {1, 16}, {2, 33}, {16, 1}, {7, 5}, {3, 70}}) {
      transform(before, length, behind, false);
      transform(before, length, behind, true);
    }
  }
}

TEST_P(Spectra, OfLargeFactors) {
  for (int64_t length : {67, 122, 134, 251, 257, 514, 1018}) transform(1, length, 2, false);
}

TEST_P(Spectra, OfLongLines) {
  transform(1, 2048, 1, false);
  transform(2, 4200, 1, true);
  transform(1, 8400, 1, false);
  transform(1, 5103, 2, false);
  transform(1, 3001, 1, true);
}

}  // namespace
}  // namespace mps::exam
