#include "plugin/host/reference_spectra_host.h"

#include <cmath>
#include <complex>
#include <vector>

namespace mps {

// Each result is the sum that defines it.
void reference_spectra(const Graph& graph, Value value, Span<const void* const> operands, void* out) {
  constexpr double kPi = 3.14159265358979323846;
  const Node& node = graph.node(value);
  const Fourier what = Fourier::of(graph.attributes(node));
  const Dims from = graph.shape(graph.operand(node, 0)), to = graph.shape(value);
  const bool takes_real = from.size() == 3, gives_real = to.size() == 3;
  const int64_t n = what.length, columns = from[2];
  const size_t count = static_cast<size_t>(n);
  const float* const x = static_cast<const float*>(operands[0]);
  float* const y = static_cast<float*>(out);
  std::vector<std::complex<double>> roots(count), line(count);
  for (size_t i = 0; i < count; ++i) {
    roots[i] = std::polar(1.0, (what.inverse ? 2 : -2) * kPi * static_cast<double>(i) / static_cast<double>(n));
  }
  for (int64_t b = 0; b < from[0]; ++b) {
    for (int64_t column = 0; column < columns; ++column) {
      for (int64_t i = 0; i < from[1]; ++i) {
        const int64_t at = (b * from[1] + i) * columns + column;
        const auto part = [&](int64_t p) { return static_cast<double>(x[takes_real ? at : 2 * at + p]); };
        line[static_cast<size_t>(i)] = {part(0), takes_real ? 0 : part(1)};
      }
      for (int64_t i = from[1]; i < n; ++i) line[static_cast<size_t>(i)] = std::conj(line[static_cast<size_t>(n - i)]);
      for (int64_t k = 0; k < to[1]; ++k) {
        std::complex<double> sum = 0;
        size_t turn = 0;
        for (size_t i = 0; i < count; ++i) {
          sum += line[i] * roots[turn];
          turn += static_cast<size_t>(k);
          if (turn >= count) turn -= count;
        }
        sum *= what.scale;
        const int64_t at = (b * to[1] + k) * columns + column;
        y[gives_real ? at : 2 * at] = static_cast<float>(sum.real());
        if (!gives_real) y[2 * at + 1] = static_cast<float>(sum.imag());
      }
    }
  }
}

}  // namespace mps
