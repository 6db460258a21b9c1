#include "plugin/core/infer_spectra.h"

#include "plugin/core/check.h"

namespace mps {

Inferred infer_fourier(const Graph& graph, NodeKind kind, Value x, const Fourier& what) {
  const bool takes_real = kind == NodeKind::real_to_hermitean_fft, gives_real = kind == NodeKind::hermitean_to_real_fft;
  check_dtype(kind, graph.dtype(x));
  Shape shape(graph.shape(x));
  MPS_CHECK(shape.size() == (takes_real ? 3 : 4) && element_count(shape) > 0 && (takes_real || shape[3] == 2),
            kInternal, "bad operand of ", info(kind).name, ": expected [B, N, I]",
            takes_real ? "" : " and pairs of parts", ", got ", to_string(shape), ".");
  const int64_t half = what.length / 2 + 1;
  MPS_CHECK(what.length > 0 && shape[1] == (gives_real ? half : what.length), kInternal, "bad length of ",
            info(kind).name, ": expected ", gives_real ? half : what.length, " numbers along axis 1, got ",
            to_string(shape), ".");
  if (kind == NodeKind::fast_fourier_transform) return {DType::float32, shape};
  if (gives_real) return {DType::float32, {shape[0], what.length, shape[2]}};
  return {DType::float32, {shape[0], half, shape[2], 2}};
}

}  // namespace mps
