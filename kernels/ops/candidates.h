// Boxes of several classes, as detectors of objects find them: those whose score is above a threshold, the best of each
// class first.
#pragma once

#include "paddle/phi/backends/custom/custom_context.h"
#include "paddle/phi/core/dense_tensor.h"
#include "paddle/utils/optional.h"
#include "plugin/paddle/recorder.h"

namespace mps::paddle {

// What a detector found. Boxes are in a table of rows of `width` numbers. Either all classes share the boxes [images,
// boxes, width], with scores [images, classes, boxes]; or each has its own [boxes, classes, width], with scores [boxes,
// classes], and numbers [images] says how many boxes belong to each image.
struct Found {
  const phi::DenseTensor& boxes;
  const phi::DenseTensor& scores;
  const ::paddle::optional<phi::DenseTensor>& numbers;

  bool shares_boxes() const { return scores.dims().size() == 3; }
  int64_t images() const { return shares_boxes() ? scores.dims()[0] : numbers->numel(); }
  int64_t classes() const { return scores.dims()[1]; }
  int64_t boxes_of_class() const { return shares_boxes() ? scores.dims()[2] : scores.dims()[0]; }
  int64_t width() const { return boxes.dims()[2]; }
};

struct Candidates {
  int64_t images, classes;
  int64_t most;             // places for the candidates of one class of one image; 0 if there are none at all
  phi::DenseTensor counts;  // int32 [images * classes]: how many places are filled
  phi::DenseTensor scores;  // float32 [images * classes, most], best first, equal ones in the order of their boxes
  phi::DenseTensor rows;    // int32 [images * classes, most]: which row of the table of boxes
  phi::DenseTensor boxes;   // float32 [images * classes, most, width]

  int64_t of_image() const { return classes * most; }
};

// No more than `top` of each class, if that is not below 0, and none of the class `background`. Waits for the device.
Candidates candidates_of(const phi::CustomContext& ctx, const Found& found, float threshold, int top, int background);

// Which of the places are filled: bool [images * classes, most].
Value is_candidate(Recorder& record, const Candidates& from);

// Launches the record, and gives those candidates that `chosen`, bool [images, N], says, image by image in the order of
// N: rows of class, score and box; rows of the table of boxes, int32; and how many each image has, int32. `at`, int32
// [images, N], has the places among all those of an image, and `scores` what its class gives for the score, float32
// [images * classes, most]. Waits for the device.
struct Detections {
  phi::DenseTensor *rows, *index, *numbers;
};
void give_chosen(const phi::CustomContext& ctx, Recorder& record, const Candidates& from, Value scores, Value at,
                 Value chosen, const Detections& to);
// Where there is no candidate at all.
void give_none(const phi::CustomContext& ctx, const Found& found, const Detections& to);

}  // namespace mps::paddle
