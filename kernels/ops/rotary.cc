// fused_rotary_position_embedding: pairs of numbers of each head are turned by an angle that grows with the position.
#include <array>
#include <cmath>
#include <optional>

#include "kernels/graphs/lines.h"
#include "kernels/ops/wide.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// What pairs are: neighbours, or the same place of the two halves. (Paddle calls the first one NeoX's.)
enum class Pairs { kNeighbours, kHalves };

// The partner of each number, with - in front of the second ones: (x, y) becomes (-y, x), or for the gradient (y, -x).
Value partners(Graph& g, Value x, Pairs pairs, bool of_gradient) {
  const Shape shape(g.shape(x));
  const int64_t half = shape[3] / 2;
  Shape apart{shape[0], shape[1], shape[2], 2, half};
  const size_t axis = pairs == Pairs::kHalves ? 3 : 4;
  if (pairs == Pairs::kNeighbours) std::swap(apart[3], apart[4]);
  const Value both = g.reshape(x, apart);
  const Value first = graphs::slice_axis(g, both, axis, 0, 1), second = graphs::slice_axis(g, both, axis, 1, 1);
  const int at = static_cast<int>(axis);
  const Value turned =
      of_gradient ? g.concatenation({second, g.negative(first)}, at) : g.concatenation({g.negative(second), first}, at);
  return g.reshape(turned, shape);
}

// The angles' sines and cosines, as tensors that broadcast with [batch, length, heads, width] or, if time comes first,
// [length, batch, heads, width].
class Angles {
 public:
  Angles(Recorder& record, const OptionalTensor& sin, const OptionalTensor& cos, const OptionalTensor& positions,
         Dims x, bool time_major, float base)
      : graph_(record.graph), batch_(x[time_major ? 1 : 0]), length_(x[time_major ? 0 : 1]), width_(x[3]) {
    MPS_CHECK(static_cast<bool>(sin) == static_cast<bool>(cos), kArgument,
              "expected sines and cosines, or none of them. Give both.");
    if (sin) {
      sin_ = at_positions(record, *sin, positions, time_major);
      cos_ = at_positions(record, *cos, positions, time_major);
    } else {
      make(base, time_major);
    }
  }

  Value turn(Value x, Pairs pairs, bool of_gradient) {
    Graph& g = graph_;
    const Value straight = g.multiplication(x, cos_);
    if (!of_gradient) return g.addition(straight, g.multiplication(partners(g, x, pairs, false), sin_));
    return g.addition(straight, partners(g, g.multiplication(x, sin_), pairs, true));
  }

 private:
  Value in_place(Value rows, int64_t batch, bool time_major) {
    const Value whole = graph_.reshape(rows, {batch, length_, 1, width_});
    return time_major ? graph_.transpose(whole, {1, 0, 2, 3}) : whole;
  }

  // Of a table [positions, width], also as [1, positions, 1, width]: the first rows, or those asked for.
  Value at_positions(Recorder& record, const DenseTensor& table, const OptionalTensor& positions, bool time_major) {
    const int64_t count = element_count(dims_of(table)), rows = count / width_;
    MPS_CHECK(rows * width_ == count && (positions || rows >= length_), kArgument,
              "bad table of sines or cosines: expected [", length_, ", ", width_, "] or more rows, got ",
              to_string(dims_of(table)), ".");
    const Value all = wide(record, table, {rows, width_});
    if (!positions) return in_place(graphs::slice_axis(graph_, all, 0, 0, length_), 1, time_major);
    MPS_CHECK(element_count(dims_of(*positions)) == batch_ * length_, kArgument, "bad position_ids: expected [", batch_,
              ", ", length_, "], got ", to_string(dims_of(*positions)), ".");
    return in_place(graphs::take(graph_, all, 0, record.input(*positions)), batch_, time_major);
  }

  // position / base^(2 i / width), the same for both numbers of a pair of neighbours.
  void make(float base, bool time_major) {
    Graph& g = graph_;
    const Value i = g.cast(g.coordinate({1, width_ / 2, 1}, 1), DType::float32);
    const double step = -2 * std::log(static_cast<double>(base)) / static_cast<double>(width_);
    const Value speed = g.exponent(g.multiplication(i, graphs::number(g, i, step)));
    const Value position = g.cast(g.coordinate({length_, 1, 1}, 0), DType::float32);
    const Value angle = g.broadcast(g.multiplication(position, speed), {length_, width_ / 2, 2});
    sin_ = in_place(g.sin(angle), 1, time_major);
    cos_ = in_place(g.cos(angle), 1, time_major);
  }

  Graph& graph_;
  const int64_t batch_, length_, width_;
  Value sin_{}, cos_{};
};

void turn_all(const CustomContext& ctx, const std::array<const DenseTensor*, 3>& from, const OptionalTensor& sin,
              const OptionalTensor& cos, const OptionalTensor& positions, bool neighbours, bool time_major, float base,
              bool of_gradient, const std::array<DenseTensor*, 3>& to) {
  const Dims shape = dims_of(*from[0]);
  MPS_CHECK(shape.size() == 4 && shape[3] % 2 == 0, kArgument,
            "bad q: expected [batch, length, heads, an even width], got ", to_string(shape), ".");
  Recorder record(ctx);
  std::optional<Angles> angles;  // of nothing there are none
  if (element_count(shape) != 0) angles.emplace(record, sin, cos, positions, shape, time_major, base);
  for (size_t i = 0; i < 3; ++i) {
    if (from[i] == nullptr || to[i] == nullptr) continue;
    const Value x = wide(record, *from[i]);
    const Pairs pairs = neighbours ? Pairs::kNeighbours : Pairs::kHalves;
    write(record, to[i], angles ? angles->turn(x, pairs, of_gradient) : x);
  }
  record.launch();
}

const DenseTensor* pointer(const OptionalTensor& tensor) { return tensor ? tensor.get_ptr() : nullptr; }

void rotary(const CustomContext& ctx, const DenseTensor& q, const OptionalTensor& k, const OptionalTensor& v,
            const OptionalTensor& sin, const OptionalTensor& cos, const OptionalTensor& positions, bool neighbours,
            bool time_major, float base, DenseTensor* out_q, DenseTensor* out_k, DenseTensor* out_v) {
  turn_all(ctx, {&q, pointer(k), pointer(v)}, sin, cos, positions, neighbours, time_major, base, false,
           {out_q, out_k, out_v});
}

void rotary_grad(const CustomContext& ctx, const OptionalTensor& sin, const OptionalTensor& cos,
                 const OptionalTensor& positions, const DenseTensor& dq_out, const OptionalTensor& dk_out,
                 const OptionalTensor& dv_out, bool neighbours, bool time_major, float base, DenseTensor* dq,
                 DenseTensor* dk, DenseTensor* dv) {
  turn_all(ctx, {&dq_out, pointer(dk_out), pointer(dv_out)}, sin, cos, positions, neighbours, time_major, base, true,
           {dq, dk, dv});
}

}  // namespace

// Paddle's headers do not declare these; the parameters are those of its API.
MPS_KERNEL_UNCHECKED(fused_rotary_position_embedding, rotary, kFloats, detail::define_nothing)
MPS_KERNEL_ROW(fused_rotary_position_embedding_grad, rotary_grad, kFloats, detail::define_nothing, 3)

}  // namespace mps::paddle
