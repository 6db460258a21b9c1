// Rows of several images one behind the other, as detectors give boxes: which image each is of.
#pragma once

#include "kernels/graphs/lines.h"

namespace mps::graphs {

// Whose each of `rows` rows is: int32 [rows]. `counts` is how many each image has, int32 [images]; rows that no image
// has come to `images`.
inline Value image_of_rows(Graph& g, Value counts, int64_t rows) {
  const Value ends = g.reshape(g.scan(NodeKind::cumulative_sum, counts, 0), {1, g.elements(counts)});
  return flat(g, g.search_sorted(ends, g.reshape(g.coordinate({rows}, 0), {1, rows}), /*right=*/true));
}

}  // namespace mps::graphs
