// The custom op behind paddle_mps.optimizer: one step of an optimiser whose state is quantised by blocks, or float32.
//
//   mps_optimizer_update(param, state1, state2, absmax1, absmax2, grad, book1, points1, book2, points2, codes,
//                        kind, bits, blocksize, step, rate, rest1, rest2, rest3, alpha, epsilon, decay, gradient_scale)
//
// The first five are written in place. With 8 bits the state is uint8, and book and points say what its codes mean;
// with 32 bits it is float32, and absmax, books and points are not looked at. What an optimiser has no use for is not,
// either. kind: the order of Kind below. Everything is computed in float32. rest1 is 1 - beta1 and so on: of a beta
// near 1, a float keeps that better.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/graphs/quantized.h"
#include "plugin/paddle/custom_op.h"

namespace mps::paddle {
namespace {

using ::paddle::Tensor;

CustomOp g_optimizer_update("optimizer_update");

enum class Kind : uint8_t { kAdam, kLion, kMomentum, kRmsProp, kAdagrad, kAdEMAMix };

struct Numbers {
  int64_t step;
  float rate, rest1, rest2, rest3, alpha, epsilon, decay, gradient_scale;
};

// The elements that one launch updates. Large parameters are updated piece by piece, so that what lies between reading
// a state and writing it stays in a cache.
struct Piece {
  int64_t begin, count;
};
constexpr int64_t kPieceBlocks = 1024;

// One moving average: read as float32, written back as it came.
class State {
 public:
  State(GraphOp& op, Tensor& state, Tensor& absmax, const Tensor& book, const Tensor& points, const Tensor& codes,
        int bits, int64_t blocksize, int64_t elements, Piece piece)
      : op_(op),
        state_(state),
        absmax_(absmax),
        bits_(bits),
        blocksize_(blocksize),
        elements_(elements),
        piece_(piece) {
    if (bits == 32) return;
    book_ = op.input(book);
    points_ = op.input(points);
    codes_ = op.input(codes);
  }

  // AdEMAMix keeps two rows in one tensor.
  Value read(int64_t row = 0) {
    Recorder& record = op_.record;
    if (bits_ == 32) return record.input(place(row), DType::float32, piece_.count);
    const Value codes = record.input(place(row), DType::uint8, piece_.count);
    const Value absmax = record.input(absmax_place(row), DType::float32, blocks(piece_.count));
    return record.graph.dequantize_blockwise(codes, absmax, book_, blocksize_, DType::float32, {piece_.count});
  }

  void write(Value value, int64_t row = 0) {
    Recorder& record = op_.record;
    if (bits_ == 32) return record.output(place(row), value);
    const Value absmax = graphs::block_absmax(record.graph, value, blocksize_);
    record.output(place(row), record.graph.quantize_blockwise(value, absmax, points_, codes_, blocksize_));
    record.output(absmax_place(row), absmax);
  }

 private:
  int64_t blocks(int64_t count) const { return (count + blocksize_ - 1) / blocksize_; }
  void* place(int64_t row) {
    return static_cast<char*>(state_.data()) + (row * elements_ + piece_.begin) * (bits_ / 8);
  }
  void* absmax_place(int64_t row) {
    return static_cast<float*>(absmax_.data()) + row * blocks(elements_) + piece_.begin / blocksize_;
  }

  GraphOp& op_;
  Tensor &state_, &absmax_;
  const int bits_;
  const int64_t blocksize_, elements_;
  const Piece piece_;
  Value book_{}, points_{}, codes_{};
};

// float32 expressions on the numbers of a step, which change without making another graph.
class Step {
 public:
  explicit Step(GraphOp& op) : op_(op), g_(op.record.graph) {}

  Value number(double value) { return op_.record.scalar(value, DType::float32); }
  Value scaled(Value x, double factor) { return g_.multiplication(x, number(factor)); }
  // old * beta + now * (1 - beta)
  Value moved(Value old, Value now, double rest) { return g_.addition(scaled(old, 1 - rest), scaled(now, rest)); }
  Value decayed(Value param, const Numbers& of) {
    return of.decay == 0 ? param : scaled(param, 1 - static_cast<double>(of.rate) * static_cast<double>(of.decay));
  }
  // sqrt(v) / correction + epsilon
  Value size_of(Value v, double correction, double epsilon) {
    return g_.addition(scaled(g_.square_root(v), 1 / correction), number(epsilon));
  }

 private:
  GraphOp& op_;
  Graph& g_;
};

Value next_param(GraphOp& op, Kind kind, const Numbers& of, Value param, Value gradient, State& first, State* second) {
  Graph& g = op.record.graph;
  Step step(op);
  const double rate = static_cast<double>(of.rate), epsilon = static_cast<double>(of.epsilon);
  const double rest1 = static_cast<double>(of.rest1), rest2 = static_cast<double>(of.rest2);
  const double beta1 = 1 - rest1, beta2 = 1 - rest2;
  const double t = static_cast<double>(of.step);
  if (kind == Kind::kLion) {
    const Value m = first.read();
    first.write(step.moved(m, gradient, rest2));
    return g.subtraction(step.decayed(param, of), step.scaled(g.sign(step.moved(m, gradient, rest1)), rate));
  }
  if (kind == Kind::kAdam || kind == Kind::kAdEMAMix) {
    const double correction1 = 1 - std::pow(beta1, t), correction2 = std::sqrt(1 - std::pow(beta2, t));
    const Value m = step.moved(first.read(), gradient, rest1);
    const Value v = step.moved(second->read(), g.square(gradient), rest2);
    first.write(m);
    second->write(v);
    Value direction = step.scaled(m, 1 / correction1);
    if (kind == Kind::kAdEMAMix) {
      const Value slow = step.moved(first.read(1), gradient, static_cast<double>(of.rest3));
      first.write(slow, 1);
      direction = g.addition(direction, step.scaled(slow, static_cast<double>(of.alpha)));
    }
    const Value update = g.division(direction, step.size_of(v, correction2, epsilon));
    return g.subtraction(step.decayed(param, of), step.scaled(update, rate));
  }
  if (of.decay != 0) gradient = g.addition(gradient, step.scaled(param, static_cast<double>(of.decay)));
  if (kind == Kind::kMomentum) {
    const Value m = of.step == 1 ? gradient : g.addition(step.scaled(first.read(), beta1), gradient);
    first.write(m);
    return g.subtraction(param, step.scaled(m, rate));
  }
  const Value square = g.square(gradient);
  const Value v = kind == Kind::kRmsProp ? step.moved(first.read(), square, rest1) : g.addition(first.read(), square);
  first.write(v);
  return g.subtraction(param, step.scaled(g.division(gradient, step.size_of(v, 1, epsilon)), rate));
}

void update(Tensor& param, Tensor& state1, Tensor& state2, Tensor& absmax1, Tensor& absmax2, const Tensor& grad,
            const Tensor& book1, const Tensor& points1, const Tensor& book2, const Tensor& points2, const Tensor& codes,
            int kind_number, int bits, int64_t blocksize, int64_t step, float rate, float rest1, float rest2,
            float rest3, float alpha, float epsilon, float decay, float gradient_scale) {
  const int64_t elements = param.numel(), step_by = blocksize * kPieceBlocks;
  const Kind kind = static_cast<Kind>(kind_number);
  const Numbers numbers{step, rate, rest1, rest2, rest3, alpha, epsilon, decay, gradient_scale};
  const auto at = [](const Tensor& tensor, int64_t begin) {
    return static_cast<char*>(const_cast<void*>(tensor.data())) +
           begin * static_cast<int64_t>(phi::SizeOf(tensor.dtype()));
  };
  for (int64_t begin = 0; begin < elements; begin += step_by) {
    auto update_piece = [&](GraphOp& op) {
      Graph& g = op.record.graph;
      MPS_CHECK(grad.numel() == elements, kArgument, "gradient does not fit: expected ", elements, " elements, got ",
                grad.numel(), ". Pass the parameter's own.");
      const Piece piece{begin, std::min(step_by, elements - begin)};
      const auto state = [&](Tensor& own, Tensor& absmax, const Tensor& book, const Tensor& points) {
        return State(op, own, absmax, book, points, codes, bits, blocksize, elements, piece);
      };
      const auto input = [&](const Tensor& tensor) {
        return op.record.input(at(tensor, begin), dtype_of(*static_cast<phi::DenseTensor*>(tensor.impl().get())),
                               piece.count);
      };
      State first = state(state1, absmax1, book1, points1);
      const Value own = input(param), wide = g.cast(own, DType::float32);
      Value gradient = g.cast(input(grad), DType::float32);
      if (gradient_scale != 1) gradient = g.multiplication(gradient, op.record.scalar(gradient_scale, DType::float32));
      Value next{};
      if (kind == Kind::kAdam || kind == Kind::kAdEMAMix) {
        State second = state(state2, absmax2, book2, points2);
        next = next_param(op, kind, numbers, wide, gradient, first, &second);
      } else {
        next = next_param(op, kind, numbers, wide, gradient, first, nullptr);
      }
      op.record.output(at(param, begin), g.cast(next, g.dtype(own)));
    };
    graph_op(g_optimizer_update, param, update_piece, begin == 0);
  }
}

}  // namespace
}  // namespace mps::paddle

PD_BUILD_OP(mps_optimizer_update)
    .Inputs({"Param", "State1", "State2", "Absmax1", "Absmax2", "Grad", "Book1", "Points1", "Book2", "Points2",
             "Codes"})
    .Outputs({"ParamOut", "State1Out", "State2Out", "Absmax1Out", "Absmax2Out"})
    .Attrs({"kind: int", "bits: int", "blocksize: int64_t", "step: int64_t", "rate: float", "rest1: float",
            "rest2: float", "rest3: float", "alpha: float", "epsilon: float", "decay: float", "gradient_scale: float"})
    .SetInplaceMap({{"Param", "ParamOut"},
                    {"State1", "State1Out"},
                    {"State2", "State2Out"},
                    {"Absmax1", "Absmax1Out"},
                    {"Absmax2", "Absmax2Out"}})
    .SetKernelFn(PD_KERNEL(mps::paddle::update));
