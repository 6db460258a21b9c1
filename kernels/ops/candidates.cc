#include "kernels/ops/candidates.h"

#include <algorithm>
#include <limits>

#include "kernels/graphs/chosen.h"
#include "kernels/graphs/owners.h"
#include "kernels/ops/counted_rows.h"
#include "kernels/ops/temporary.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Scores [images * classes, boxes], and which of them are above the threshold.
struct Scored {
  Value scores{}, is_above{};
};

Scored scored(Recorder& record, const Found& found, float threshold, int background) {
  Graph& g = record.graph;
  const int64_t images = found.images(), classes = found.classes(), boxes = found.boxes_of_class();
  const Shape shape{images, classes, boxes};
  const Value given = record.input(found.scores);
  Value scores = given, is_there{};
  const Value own_class = g.coordinate({1, classes, 1}, 1);
  is_there = g.not_equal(own_class, graphs::number(g, own_class, background));
  if (!found.shares_boxes()) {
    scores = g.broadcast(g.reshape(g.transpose(given, {1, 0}), {1, classes, boxes}), shape);
    const Value counts = g.cast(record.input(*found.numbers), DType::int32);
    const Value image = g.reshape(graphs::image_of_rows(g, counts, boxes), {1, 1, boxes});
    is_there = g.multiplication(is_there, g.equal(image, g.coordinate({images, 1, 1}, 0)));
  }
  const Value is_above = g.greater_than(scores, graphs::number(g, scores, threshold));
  const Shape flat{images * classes, boxes};
  return {g.reshape(scores, flat), g.reshape(g.multiplication(is_above, is_there), flat)};
}

// A power of two, so that few graphs are made for all the counts that may come.
int64_t places_for(int64_t count, int64_t boxes) {
  int64_t places = 1;
  while (places < count) places *= 2;
  return std::min(places, boxes);
}

}  // namespace

Candidates candidates_of(const CustomContext& ctx, const Found& found, float threshold, int top, int background) {
  const int64_t pairs = found.images() * found.classes(), boxes = found.boxes_of_class(), width = found.width();
  Candidates result{found.images(), found.classes(), 0, temporary(DType::int32, {pairs}), {}, {}, {}};
  if (pairs == 0 || boxes == 0 || top == 0) return result;
  DenseTensor most = temporary(DType::int32, {1});
  Recorder first(ctx);
  Graph& counting = first.graph;
  const Value above = counting.cast(scored(first, found, threshold, background).is_above, DType::int32);
  Value counts = counting.reshape(counting.reduction_sum(above, {1}), {pairs});
  if (top > 0) counts = counting.minimum(counts, graphs::number(counting, counts, top));
  first.output(&result.counts, counts);
  first.output(&most, counting.reduction(NodeKind::reduction_maximum, counts, {0}));
  first.launch();
  const int64_t count = host_value(ctx, most).to_int64();
  if (count == 0) return result;
  result.most = places_for(count, boxes);
  result.scores = temporary(DType::float32, {pairs, result.most});
  result.rows = temporary(DType::int32, {pairs, result.most});
  result.boxes = temporary(DType::float32, {pairs, result.most, width});

  Recorder record(ctx);
  Graph& g = record.graph;
  const Scored all = scored(record, found, threshold, background);
  const Value key = g.select(all.is_above, all.scores, graphs::number(g, all.scores, -kInfinity));
  const Value order = g.arg_sort(key, 1, /*descending=*/true, result.most);
  record.output(&result.scores, graphs::take_at(g, key, graphs::positions_along(g, order, 1, {pairs, boxes})));
  const Value pair = g.coordinate({pairs, 1}, 0);
  const Value classes = graphs::number(g, pair, found.classes());
  const Value image = g.division(pair, classes);
  const Value own_class = g.subtraction(pair, g.multiplication(image, classes));
  const Value rows = found.shares_boxes() ? g.addition(g.multiplication(image, graphs::number(g, image, boxes)), order)
                                          : g.addition(g.multiplication(order, classes), own_class);
  record.output(&result.rows, rows);
  const Value table = record.input(found.boxes, {found.boxes.numel() / width, width});
  record.output(&result.boxes, graphs::take(g, table, 0, rows));
  record.launch();
  return result;
}

Value is_candidate(Recorder& record, const Candidates& from) {
  Graph& g = record.graph;
  const Value counts = record.input(from.counts, {from.images * from.classes, 1});
  return g.less_than(g.coordinate({1, from.most}, 1), counts);
}

void give_chosen(const CustomContext& ctx, Recorder& record, const Candidates& from, Value scores, Value at,
                 Value chosen, const Detections& to) {
  Graph& g = record.graph;
  const int64_t width = dims_of(from.boxes)[2], count = g.elements(chosen), all = from.images * from.of_image();
  const Value image = g.coordinate({from.images, 1}, 0);
  const Value place =
      graphs::flat(g, g.addition(g.multiplication(image, graphs::number(g, image, from.of_image())), at));
  const auto taken = [&](Value x, int64_t columns) { return graphs::take(g, g.reshape(x, {all, columns}), 0, place); };
  const Value own_class = g.reshape(g.division(at, graphs::number(g, at, from.most)), {count, 1});
  const Value rows =
      g.concatenation({g.cast(own_class, DType::float32), taken(scores, 1), taken(record.input(from.boxes), width)}, 1);
  const Value packed_places = graphs::places_of_chosen(g, chosen);
  DenseTensor packed = temporary(DType::float32, {count, width + 2}), index = temporary(DType::int32, {count, 1});
  DenseTensor numbers = temporary(DType::int32, {from.images});
  record.output(&packed, graphs::pack_chosen(g, packed_places, rows, count));
  record.output(&index, graphs::pack_chosen(g, packed_places, taken(record.input(from.rows), 1), count));
  record.output(&numbers, g.reduction_sum(g.cast(chosen, DType::int32), {1}));
  record.launch();
  const int64_t sum = sum_of(ctx, numbers);
  give_rows(ctx, packed, 0, sum, to.rows);
  give_rows(ctx, index, 0, sum, to.index);
  give_rows(ctx, numbers, 0, from.images, to.numbers);
}

void give_none(const CustomContext& ctx, const Found& found, const Detections& to) {
  give_rows(ctx, temporary(DType::float32, {0, found.width() + 2}), 0, 0, to.rows);
  give_rows(ctx, temporary(DType::int32, {0, 1}), 0, 0, to.index);
  DenseTensor numbers = temporary(DType::int32, {found.images()});
  Recorder record(ctx);
  record.output(&numbers, graphs::zeros(record.graph, DType::int32, {found.images()}));
  record.launch();
  give_rows(ctx, numbers, 0, found.images(), to.numbers);
}

}  // namespace mps::paddle
