// How alike two images are where one of them is moved: the mean of products over channels and a square around each
// place, for each of a square of displacements (Dosovitskiy et al., "FlowNet", 2015). Computed in float32. Paddle's CPU
// device has no such kernel.
//
// The displacements of one row are taken together: a view of the second image, whose displacements overlap in memory,
// is multiplied by the first image.
#include "kernels/graphs/lines.h"
#include "kernels/graphs/resize.h"
#include "kernels/ops/wide.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// `x` with `before` and `after` zeros around it along each of its last two axes; less than none of them cut it.
Value with_margins(Graph& g, Value x, int64_t before, int64_t after) {
  for (size_t axis = 2; axis < 4; ++axis) {
    const auto zeros = [&](int64_t count) {
      return graphs::zeros(g, g.dtype(x), graphs::with_axis(g.shape(x), axis, count));
    };
    if (before < 0) x = graphs::slice_axis(g, x, axis, -before, g.shape(x)[axis] + before);
    if (after < 0) x = graphs::slice_axis(g, x, axis, 0, g.shape(x)[axis] + after);
    if (before > 0) x = g.concatenation({zeros(before), x}, static_cast<int>(axis));
    if (after > 0) x = g.concatenation({x, zeros(after)}, static_cast<int>(axis));
  }
  return x;
}

class Correlation {
 public:
  Correlation(const DenseTensor& x, Dims out, int pad, int kernel, int displacement, int stride1, int stride2)
      : images_(dims_of(x)[0]),
        channels_(dims_of(x)[1]),
        size_{dims_of(x)[2], dims_of(x)[3]},
        out_{out[2], out[3]},
        radius_((kernel - 1) / 2),
        margin_(pad + radius_),
        first_(displacement),
        step_(stride1),
        apart_(stride2),
        reach_(displacement / stride2),
        terms_(static_cast<double>(kernel) * kernel * static_cast<double>(channels_)) {
    for (size_t i = 0; i < 2; ++i) places_[i] = (out_[i] - 1) * step_ + 1 + 2 * radius_;
  }

  // [images, displacements, height, width].
  Value forward(Graph& g, Value x, Value y) const {
    const Value here = g.reshape(block(g, x), {images_, channels_, 1, places_[0], places_[1]});
    SmallVector<Value, 8> rows;
    for (int64_t row = -reach_; row <= reach_; ++row) {
      const Value sum = g.reduction_sum(g.multiplication(here, moved(g, y, row)), {1});
      rows.push_back(g.reshape(sum, {images_, side(), places_[0], places_[1]}));
    }
    const Value products = g.concatenation(rows, 1);
    Value sum{};
    for (int64_t i = 0; i <= 2 * radius_; ++i) {
      for (int64_t j = 0; j <= 2 * radius_; ++j) {
        const Value line = graphs::slice_axis(g, products, 2, i, out_[0], step_);
        const Value part = graphs::slice_axis(g, line, 3, j, out_[1], step_);
        sum = i + j == 0 ? part : g.addition(sum, part);
      }
    }
    return g.division(sum, graphs::number(g, sum, terms_));
  }

  // The gradient by the image that stays.
  Value gradient_here(Graph& g, Value y, Value dout) const {
    const Value gradient = of_products(g, dout);
    Value sum{};
    for (int64_t row = -reach_; row <= reach_; ++row) {
      const Value own = graphs::slice_axis(g, gradient, 1, (row + reach_) * side(), side());
      const Value each = g.reshape(own, {images_, 1, side(), places_[0], places_[1]});
      const Value part = g.reduction_sum(g.multiplication(each, moved(g, y, row)), {2});
      sum = row == -reach_ ? part : g.addition(sum, part);
    }
    return in_image(g, g.reshape(sum, {images_, channels_, places_[0], places_[1]}), first_);
  }

  // The gradient by the image that is moved: products of the other image and the gradient go back by as much.
  Value gradient_moved(Graph& g, Value x, Value dout) const {
    const int64_t most = reach_ * apart_;
    const Value gradient = with_margins(g, of_products(g, dout), 2 * most, 2 * most);
    const Value here = with_margins(g, block(g, x), 2 * most, 2 * most);
    const int64_t width = places_[1] + 4 * most, plane = (places_[0] + 4 * most) * width;
    const int64_t rows = places_[0] + 2 * most, columns = places_[1] + 2 * most;
    Value sum{};
    for (int64_t row = -reach_; row <= reach_; ++row) {
      const int64_t from = (most - row * apart_) * width + 2 * most;
      const auto back = [&](Value from_all, int64_t channels, int64_t displacement, int64_t offset) {
        const int64_t stride = g.shape(from_all)[1] * plane;
        return g.strided_view(graphs::flat(g, from_all), {images_, channels, side(), rows, columns},
                              {stride, channels == 1 ? 0 : plane, displacement - apart_, width, 1}, offset);
      };
      const Value each = back(gradient, 1, plane, (row + reach_) * side() * plane + from);
      const Value part = g.reduction_sum(g.multiplication(each, back(here, channels_, 0, from)), {2});
      sum = row == -reach_ ? part : g.addition(sum, part);
    }
    return in_image(g, g.reshape(sum, {images_, channels_, rows, columns}), first_ - most);
  }

 private:
  int64_t side() const { return 2 * reach_ + 1; }

  // The places of the first image that results are made of.
  Value block(Graph& g, Value x) const {
    const Value all = with_margins(g, x, margin_, margin_);
    return graphs::slice_axis(g, graphs::slice_axis(g, all, 2, first_, places_[0]), 3, first_, places_[1]);
  }

  // What lies there in the second image for the displacements of a row: [images, channels, side, .., ..].
  Value moved(Graph& g, Value y, int64_t row) const {
    const Value all = with_margins(g, y, margin_, margin_);
    const int64_t width = size_[1] + 2 * margin_, plane = (size_[0] + 2 * margin_) * width;
    return g.strided_view(graphs::flat(g, all), {images_, channels_, side(), places_[0], places_[1]},
                          {channels_ * plane, plane, apart_, width, 1},
                          (first_ + row * apart_) * width + first_ - reach_ * apart_);
  }

  // The gradient of the products that results are sums of: [images, displacements, .., ..].
  Value of_products(Graph& g, Value dout) const {
    Value all = g.division(dout, graphs::number(g, dout, terms_));
    if (step_ > 1) {  // zeros between results
      const int64_t height = places_[0] - 2 * radius_, width = places_[1] - 2 * radius_;
      const Shape shape{images_, side() * side(), height, width};
      const Value apart = g.strided_update(graphs::zeros(g, g.dtype(all), {element_count(shape)}), all,
                                           {shape[1] * height * width, height * width, step_ * width, step_}, 0);
      all = g.reshape(apart, shape);
    }
    if (radius_ == 0) return all;
    all = with_margins(g, all, 2 * radius_, 2 * radius_);
    Value sum{};
    for (int64_t i = 0; i <= 2 * radius_; ++i) {
      for (int64_t j = 0; j <= 2 * radius_; ++j) {
        const Value line = graphs::slice_axis(g, all, 2, i, places_[0]);
        const Value part = graphs::slice_axis(g, line, 3, j, places_[1]);
        sum = i + j == 0 ? part : g.addition(sum, part);
      }
    }
    return sum;
  }

  // Puts what begins at place `from` of the image with its margins into the image.
  Value in_image(Graph& g, Value x, int64_t from) const {
    for (size_t axis = 2; axis < 4; ++axis) {
      const auto zeros = [&](int64_t count) {
        return graphs::zeros(g, g.dtype(x), graphs::with_axis(g.shape(x), axis, count));
      };
      const int64_t rest = size_[axis - 2] + 2 * margin_ - from - g.shape(x)[axis];
      x = g.concatenation({zeros(from), x, zeros(rest)}, static_cast<int>(axis));
    }
    return with_margins(g, x, -margin_, -margin_);
  }

  int64_t images_, channels_, size_[2], out_[2];
  int64_t radius_;     // of the square that is compared
  int64_t margin_;     // zeros around images
  int64_t first_;      // place of the first result, in the image with its margins less the radius
  int64_t step_;       // from result to result
  int64_t apart_;      // from displacement to displacement
  int64_t reach_;      // displacements to each side
  double terms_;       // of each mean
  int64_t places_[2];  // that results are made of
};

void check_strides(int kernel, int stride1, int stride2) {
  MPS_CHECK(kernel >= 1 && stride1 >= 1 && stride2 >= 1, kArgument,
            "bad sizes for correlation: expected kernel_size, stride1 and stride2 of 1 or more, got ", kernel, ", ",
            stride1, " and ", stride2, ". Give positive ones.");
}

void correlation(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, int pad, int kernel,
                 int displacement, int stride1, int stride2, int, DenseTensor* out) {
  check_strides(kernel, stride1, stride2);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (out->numel() == 0 || x.numel() == 0) {
    write(record, out, graphs::zeros(g, DType::float32, dims_of(*out)));
    return record.launch();
  }
  const Correlation pairs(x, dims_of(*out), pad, kernel, displacement, stride1, stride2);
  write(record, out, pairs.forward(g, wide(record, x), wide(record, y)));
  record.launch();
}

void correlation_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout,
                      int pad, int kernel, int displacement, int stride1, int stride2, int, DenseTensor* dx,
                      DenseTensor* dy) {
  check_strides(kernel, stride1, stride2);
  Recorder record(ctx);
  Graph& g = record.graph;
  if (dout.numel() == 0 || x.numel() == 0) {
    if (dx != nullptr) write(record, dx, graphs::zeros(g, DType::float32, dims_of(*dx)));
    if (dy != nullptr) write(record, dy, graphs::zeros(g, DType::float32, dims_of(*dy)));
    return record.launch();
  }
  const Correlation pairs(x, dims_of(dout), pad, kernel, displacement, stride1, stride2);
  const Value gradient = wide(record, dout);
  if (dx != nullptr) write(record, dx, pairs.gradient_here(g, wide(record, y), gradient));
  if (dy != nullptr) write(record, dy, pairs.gradient_moved(g, wide(record, x), gradient));
  record.launch();
}

}  // namespace

// Paddle's headers do not declare these two.
MPS_KERNEL_UNCHECKED(correlation, correlation, kFloats, detail::define_nothing)
MPS_KERNEL_UNCHECKED(correlation_grad, correlation_grad, kFloats, detail::define_nothing)

}  // namespace mps::paddle
