// The loss of YOLOv3 (Redmon and Farhadi, 2018): each true box asks for its place, size and class of the one cell and
// anchor that it belongs to; every other cell should find nothing, unless what it predicts lies on a true box.
// Computed in float32. Boxes are x, y (of their middle), width, height, in parts of an image.
#include <algorithm>

#include "kernels/graphs/lines.h"
#include "kernels/graphs/resize.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/yolo_loss_grad_kernel.h"
#include "paddle/phi/kernels/yolo_loss_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using graphs::add_number;
using graphs::number;
using graphs::times_number;
using Optional = ::paddle::optional<DenseTensor>;

constexpr double kSmallestBox = 1e-6;  // a true box that is smaller is padding
constexpr double kSmallestScore = 1e-5;

struct Yolo {
  Yolo(const DenseTensor& x, const DenseTensor& gt_box, const std::vector<int>& all_anchors,
       const std::vector<int>& anchor_mask, int class_num, int downsample_ratio, bool use_label_smooth)
      : anchors(all_anchors),
        mask(anchor_mask),
        images(dims_of(x)[0]),
        boxes(dims_of(gt_box)[1]),
        masks(static_cast<int64_t>(mask.size())),
        classes(class_num),
        height(dims_of(x)[2]),
        width(dims_of(x)[3]),
        input_size(downsample_ratio * height) {
    MPS_CHECK(dims_of(x)[1] == masks * (classes + 5), kArgument, "bad channels for yolo_loss: expected ", masks,
              " anchors x (5 + ", classes, " classes), got ", dims_of(x)[1], ". Check anchor_mask and class_num.");
    for (int one : mask) {
      MPS_CHECK(one >= 0 && static_cast<size_t>(2 * one + 1) < anchors.size(), kArgument,
                "bad anchor_mask for yolo_loss: expected positions of ", anchors.size() / 2, " anchors, got ", one,
                ". Check anchors.");
    }
    if (use_label_smooth) {
      other_class = std::min(1.0 / static_cast<double>(classes), 1.0 / 40);
      own_class = 1 - other_class;
    }
  }
  int64_t cells() const { return height * width; }
  int64_t length(size_t axis) const { return axis == 0 ? width : height; }
  Shape maps() const { return {images, masks, classes + 5, cells()}; }
  double anchor(int64_t which, size_t axis) const { return anchors[2 * static_cast<size_t>(which) + axis]; }

  const std::vector<int>&anchors, &mask;
  int64_t images, boxes, masks, classes, height, width, input_size;
  double own_class = 1, other_class = 0;
};

struct Box {
  Value at[2], size[2];  // by x and y
};

// True boxes, as [images, 1 .., boxes, 1 ..] with `shape`.
Box true_boxes(Graph& g, Value boxes, Dims shape) {
  Box box{};
  for (size_t axis = 0; axis < 2; ++axis) {
    const auto part = [&](size_t column) {
      return g.reshape(graphs::slice_axis(g, boxes, 2, static_cast<int64_t>(column), 1), shape);
    };
    box.at[axis] = part(axis);
    box.size[axis] = part(axis + 2);
  }
  return box;
}

Value is_true(Graph& g, const Box& box) {
  const auto has = [&](size_t axis) {
    return g.greater_than_or_equal_to(box.size[axis], number(g, box.size[axis], kSmallestBox));
  };
  return g.multiplication(has(0), has(1));
}

// The part of both that both have, by all that one of them has.
Value overlap(Graph& g, const Box& a, const Box& b) {
  Value both{};
  for (size_t axis = 0; axis < 2; ++axis) {
    const auto edge = [&](const Box& box, double half) {
      return g.addition(box.at[axis], times_number(g, box.size[axis], half));
    };
    const Value low = g.maximum(edge(a, -0.5), edge(b, -0.5)), high = g.minimum(edge(a, 0.5), edge(b, 0.5));
    const Value length = g.subtraction(high, low), bounded = g.maximum(length, number(g, length, 0));
    both = axis == 0 ? bounded : g.multiplication(both, bounded);
  }
  const auto area = [&](const Box& box) { return g.multiplication(box.size[0], box.size[1]); };
  return g.division(both, g.subtraction(g.addition(area(a), area(b)), both));
}

Value cross_entropy(Graph& g, Value x, Value label) {  // of a sigmoid
  const Value beyond = g.log1p(g.exponent(g.negative(g.absolute(x))));
  return g.addition(g.subtraction(g.maximum(x, number(g, x, 0)), g.multiplication(x, label)), beyond);
}

// -- what belongs to whom
// ------------------------------------------------------------------------------------------------

// Of each true box, int32 [images, boxes, 1]: the place in `mask` of the anchor that has its shape; -1 if none.
Value matches_of(Graph& g, const Yolo& yolo, const Box& box) {
  Box shape = box;
  for (Value& at : shape.at) at = number(g, at, 0);
  const auto place_of = [&](int64_t anchor) {
    const auto found = std::find(yolo.mask.begin(), yolo.mask.end(), static_cast<int>(anchor));
    return g.constant(found == yolo.mask.end() ? -1 : static_cast<int>(found - yolo.mask.begin()), DType::int32);
  };
  Value best = number(g, box.size[0], 0), match = place_of(0);
  for (int64_t i = 0; i < static_cast<int64_t>(yolo.anchors.size() / 2); ++i) {
    Box anchor = shape;
    for (size_t axis = 0; axis < 2; ++axis) {
      anchor.size[axis] =
          number(g, box.size[axis], static_cast<float>(yolo.anchor(i, axis)) / static_cast<float>(yolo.input_size));
    }
    const Value same = overlap(g, anchor, shape);
    const Value better = g.greater_than(same, best);
    match = g.select(better, place_of(i), match);
    best = g.select(better, same, best);
  }
  return g.select(is_true(g, box), match, g.constant(-1, DType::int32));
}

// The cells that true boxes ask: int32 [images, boxes, 1].
Value cells_of(Graph& g, const Yolo& yolo, const Box& box) {
  const auto cell = [&](size_t axis) {
    return g.cast(g.truncate(times_number(g, box.at[axis], static_cast<double>(yolo.length(axis)))), DType::int32);
  };
  const Value row = cell(1);
  return g.addition(g.multiplication(row, number(g, row, yolo.width)), cell(0));
}

// A position for each true box in maps of `each` numbers for each cell of each anchor; -1 if it asks nobody.
Value positions_of(Graph& g, const Yolo& yolo, const Box& box, Value match, int64_t each) {
  const Value map = graphs::within(g, g.coordinate({yolo.images, 1, 1}, 0), yolo.masks, match);
  const Value at = graphs::within(g, map, each * yolo.cells(), cells_of(g, yolo, box));
  return g.select(g.greater_than_or_equal_to(match, number(g, match, 0)), at, number(g, at, -1));
}

// All that a true box asks for: [images, boxes, 5 + classes] each. The fifth number, how sure a cell is, it does not.
struct Asked {
  Value at{};      // positions in the maps, int32
  Value logits{};  // what is there
  Value goal{}, weight{};
  Value is_size{};  // whether the number is a width or height, whose loss is the distance
};

Asked asked_by(Recorder& record, const Yolo& yolo, const Box& box, Value match, const DenseTensor& x,
               const DenseTensor& label, Value score) {
  Graph& g = record.graph;
  const Shape line{1, 1, yolo.classes + 5};
  const Value entry = g.coordinate(line, 2);
  const Value first = positions_of(g, yolo, box, match, yolo.classes + 5);
  const auto is = [&](int64_t which) { return g.equal(entry, number(g, entry, which)); };
  const Value moved = g.addition(first, g.multiplication(entry, number(g, entry, yolo.cells())));
  const Value belongs = g.multiplication(g.greater_than_or_equal_to(first, number(g, first, 0)), g.logical_not(is(4)));
  Asked asked;
  asked.at = g.select(belongs, moved, number(g, moved, -1));
  asked.logits = graphs::take_at(g, wide(record, x), asked.at);
  const Value class_of = add_number(g, g.cast(record.input(label, {yolo.images, yolo.boxes, 1}), DType::int32), 5);
  asked.goal =
      g.select(g.equal(entry, class_of), number(g, box.at[0], yolo.own_class), number(g, box.at[0], yolo.other_class));
  for (size_t axis = 0; axis < 2; ++axis) {
    const Value scaled = times_number(g, box.at[axis], static_cast<double>(yolo.height));
    const Value in_cells = times_number(g, box.at[axis], static_cast<double>(yolo.length(axis)));
    asked.goal = g.select(is(static_cast<int64_t>(axis)), g.subtraction(scaled, g.truncate(in_cells)), asked.goal);
    Value anchor = number(g, box.size[axis], 1);
    for (int64_t i = 0; i < yolo.masks; ++i) {
      const double size = yolo.anchor(yolo.mask[static_cast<size_t>(i)], axis);
      anchor = g.select(g.equal(match, number(g, match, i)), number(g, anchor, size), anchor);
    }
    const Value whole = times_number(g, box.size[axis], static_cast<double>(yolo.input_size));
    asked.goal = g.select(is(static_cast<int64_t>(axis) + 2), g.logarithm(g.division(whole, anchor)), asked.goal);
  }
  const Value area = g.multiplication(box.size[0], box.size[1]);
  const Value of_place = g.multiplication(g.subtraction(number(g, area, 2), area), score);
  asked.weight = g.select(g.less_than(entry, number(g, entry, 4)), of_place, score);
  asked.is_size = g.addition(is(2), is(3));
  return asked;
}

// How sure the true boxes are, [images, boxes, 1].
Value scores_of(Recorder& record, const Yolo& yolo, const Optional& gt_score) {
  const Shape shape{yolo.images, yolo.boxes, 1};
  if (!gt_score) return record.graph.constant(1.0, DType::float32, shape);
  return wide(record, *gt_score, shape);
}

// -- how sure a cell should be
// --------------------------------------------------------------------------------------------

// What the cells predict, [images, masks, cells, 1].
Box predicted(Graph& g, const Yolo& yolo, Value maps, float scale) {
  Box box{};
  const Shape grid{1, 1, yolo.height, yolo.width}, cells{1, 1, yolo.cells(), 1};
  const double bias = -0.5 * (static_cast<double>(scale) - 1);
  for (size_t axis = 0; axis < 2; ++axis) {
    const auto map = [&](size_t which) {
      const Value line = graphs::slice_axis(g, maps, 2, static_cast<int64_t>(which), 1);
      return g.reshape(line, {yolo.images, yolo.masks, yolo.cells(), 1});
    };
    const Value cell = g.reshape(g.cast(g.coordinate(grid, static_cast<int>(3 - axis)), DType::float32), cells);
    const Value place = add_number(g, g.addition(cell, times_number(g, g.sigmoid(map(axis)), scale)), bias);
    box.at[axis] = g.division(place, number(g, place, static_cast<double>(yolo.height)));
    SmallVector<Value, 4> anchors;
    for (int one : yolo.mask) anchors.push_back(g.constant(yolo.anchor(one, axis), DType::float32, {1, 1, 1, 1}));
    const Value size = g.multiplication(g.exponent(map(axis + 2)), g.concatenation(anchors, 1));
    box.size[axis] = g.division(size, number(g, size, static_cast<double>(yolo.input_size)));
  }
  return box;
}

// The score of the true box that asks a cell, -1 where what a cell predicts lies on a true box, or 0:
// [images, masks, cells].
Value sureness(Graph& g, const Yolo& yolo, Value maps, Value boxes, Value match, Value score, float scale,
               float threshold) {
  const Box all = true_boxes(g, boxes, {yolo.images, 1, 1, yolo.boxes});
  const Value common = overlap(g, predicted(g, yolo, maps, scale), all);
  const Value on_box = g.multiplication(is_true(g, all), g.greater_than(common, number(g, common, threshold)));
  const Value any =
      g.reshape(g.reduction(NodeKind::reduction_maximum, on_box, {3}), {yolo.images, yolo.masks, yolo.cells()});
  const Value nobody = g.select(any, g.constant(-1.0, DType::float32), g.constant(0.0, DType::float32));
  const Box each = true_boxes(g, boxes, {yolo.images, yolo.boxes, 1});
  return graphs::put_at(g, ScatterMode::kSet, nobody, positions_of(g, yolo, each, match, 1), score);
}

// Of each cell: `asked` where a true box asks it, times its score; `other` where nothing should be found; else 0.
Value by_sureness(Graph& g, Value sure, Value asked, Value other) {
  const Value is_asked = g.greater_than(sure, number(g, sure, kSmallestScore));
  const Value counts = g.greater_than(sure, number(g, sure, -0.5));
  return g.select(is_asked, g.multiplication(asked, sure), g.select(counts, other, number(g, other, 0)));
}

Value logits_of_cells(Graph& g, const Yolo& yolo, Value maps) {
  return g.reshape(graphs::slice_axis(g, maps, 2, 4, 1), {yolo.images, yolo.masks, yolo.cells()});
}

void yolo_loss(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& gt_box, const DenseTensor& gt_label,
               const Optional& gt_score, const std::vector<int>& anchors, const std::vector<int>& anchor_mask,
               int class_num, float ignore_thresh, int downsample_ratio, bool use_label_smooth, float scale_x_y,
               DenseTensor* loss, DenseTensor* objectness_mask, DenseTensor* gt_match_mask) {
  const Yolo yolo(x, gt_box, anchors, anchor_mask, class_num, downsample_ratio, use_label_smooth);
  set_dtype(gt_match_mask, phi::DataType::INT32);  // Paddle's shape inference leaves that of x
  loss->Resize(phi::make_ddim({yolo.images}));
  objectness_mask->Resize(phi::make_ddim({yolo.images, yolo.masks, yolo.height, yolo.width}));
  gt_match_mask->Resize(phi::make_ddim({yolo.images, yolo.boxes}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value maps = wide(record, x, yolo.maps());
  Value sum = graphs::zeros(g, DType::float32, {yolo.images});
  Value sure = graphs::zeros(g, DType::float32, {yolo.images, yolo.masks, yolo.cells()});
  Value match = graphs::zeros(g, DType::int32, {yolo.images, yolo.boxes, 1});
  if (yolo.images * yolo.boxes != 0) {
    const Value boxes = wide(record, gt_box), score = scores_of(record, yolo, gt_score);
    const Box box = true_boxes(g, boxes, {yolo.images, yolo.boxes, 1});
    match = matches_of(g, yolo, box);
    sure = sureness(g, yolo, maps, boxes, match, score, scale_x_y, ignore_thresh);
    const Asked asked = asked_by(record, yolo, box, match, x, gt_label, score);
    const Value distance = g.absolute(g.subtraction(asked.goal, asked.logits));
    const Value each = g.select(asked.is_size, distance, cross_entropy(g, asked.logits, asked.goal));
    const Value weighed = g.multiplication(each, asked.weight);
    const Value counts = g.greater_than_or_equal_to(asked.at, number(g, asked.at, 0));
    const Value all = g.reduction_sum(g.select(counts, weighed, number(g, weighed, 0)), {1, 2});
    sum = g.reshape(all, {yolo.images});
  }
  const Value logits = logits_of_cells(g, yolo, maps);
  const Value cells = by_sureness(g, sure, cross_entropy(g, logits, number(g, logits, 1)),
                                  cross_entropy(g, logits, number(g, logits, 0)));
  write(record, loss, g.addition(sum, g.reshape(g.reduction_sum(cells, {1, 2}), {yolo.images})));
  write(record, objectness_mask, sure);
  write(record, gt_match_mask, match);
  record.launch();
}

void yolo_loss_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& gt_box,
                    const DenseTensor& gt_label, const Optional& gt_score, const DenseTensor& objectness_mask,
                    const DenseTensor& gt_match_mask, const DenseTensor& dloss, const std::vector<int>& anchors,
                    const std::vector<int>& anchor_mask, int class_num, float, int downsample_ratio,
                    bool use_label_smooth, float, DenseTensor* dx, DenseTensor*, DenseTensor*, DenseTensor*) {
  if (dx == nullptr) return;  // true boxes, labels and scores have no gradient in Paddle either
  const Yolo yolo(x, gt_box, anchors, anchor_mask, class_num, downsample_ratio, use_label_smooth);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value gradient = wide(record, dloss, {yolo.images, 1, 1});
  const Value logits = logits_of_cells(g, yolo, wide(record, x, yolo.maps()));
  const Value sure = wide(record, objectness_mask, {yolo.images, yolo.masks, yolo.cells()});
  const Value found = g.sigmoid(logits);
  const Value cells = g.multiplication(by_sureness(g, sure, add_number(g, found, -1), found), gradient);
  const Shape maps = yolo.maps();
  const auto none = [&](int64_t count) { return graphs::zeros(g, DType::float32, {maps[0], maps[1], count, maps[3]}); };
  Value sum = g.concatenation({none(4), g.reshape(cells, {maps[0], maps[1], 1, maps[3]}), none(yolo.classes)}, 2);
  if (yolo.images * yolo.boxes != 0) {
    const Value boxes = wide(record, gt_box), score = scores_of(record, yolo, gt_score);
    const Box box = true_boxes(g, boxes, {yolo.images, yolo.boxes, 1});
    const Value match = record.input(gt_match_mask, {yolo.images, yolo.boxes, 1});
    const Asked asked = asked_by(record, yolo, box, match, x, gt_label, score);
    const Value goes_up = g.greater_than(asked.logits, asked.goal);
    const Value side = g.select(goes_up, number(g, asked.goal, 1), number(g, asked.goal, -1));
    const Value each = g.select(asked.is_size, side, g.subtraction(g.sigmoid(asked.logits), asked.goal));
    const Value weighed = g.multiplication(g.multiplication(each, asked.weight), gradient);
    // Of several true boxes that ask the same cell, the last one tells it.
    sum = graphs::put_at(g, ScatterMode::kSet, sum, asked.at, weighed);
  }
  write(record, dx, sum);
  record.launch();
}

void give_matches(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(2).SetDataType(phi::DataType::INT32); }

}  // namespace

MPS_KERNEL_WITH_DEFINE(yolo_loss, phi::YoloLossKernel, yolo_loss, kFloats, give_matches)
MPS_KERNEL(yolo_loss_grad, phi::YoloLossGradKernel, yolo_loss_grad, kFloats)

}  // namespace mps::paddle
