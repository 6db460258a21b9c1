// A network of recurrent cells as a graph: layers, directions, sequences of different length, and back through all.
//
// The gates of the inputs are one product for all steps; only those of the state are made step by step. The way back
// needs what the steps made. From the states that the way there has kept it is made again, for all steps at once:
// keeping it too would take several times the memory.
#pragma once

#include "kernels/graphs/matmul.h"
#include "kernels/graphs/recurrent.h"
#include "kernels/ops/wide.h"
#include "plugin/core/check.h"

namespace mps::paddle {

using graphs::Cell;
using graphs::matrix_transpose;
using graphs::slice_axis;
using Tensors = std::vector<const phi::DenseTensor*>;
using OptionalTensor = ::paddle::optional<phi::DenseTensor>;

inline Cell cell_of(const std::string& mode) {
  if (mode == "LSTM") return Cell::kLstm;
  if (mode == "GRU") return Cell::kGru;
  if (mode == "RNN_TANH") return Cell::kTanh;
  MPS_CHECK(mode == "RNN_RELU", kArgument, "unknown mode: expected LSTM, GRU, RNN_TANH or RNN_RELU, got ", mode, ".");
  return Cell::kRelu;
}

// One direction of one layer.
struct Direction {
  size_t input_weight, state_weight, input_bias, state_bias;  // places in Paddle's list
  size_t state;                                               // place in the state
  bool is_reverse;
  std::vector<graphs::Step> steps;  // by time
  std::vector<Value> h, c;          // after each step, by time
  Value all_before;                 // h before each step, [time * batch, hidden]; recalled only
};

struct Layer {
  Value input;  // [time, batch, features]
  std::vector<Direction> directions;
};

class Network {
 public:
  Network(Recorder& record, const phi::DenseTensor& x, const Tensors& pre_state, const Tensors& weights,
          const OptionalTensor& lengths, const std::string& mode, bool is_bidirectional, int layers, float dropout)
      : record_(record),
        g_(record.graph),
        cell_(cell_of(mode)),
        count_(static_cast<size_t>(layers)),
        width_(is_bidirectional ? 2 : 1),
        dropout_(dropout) {
    const Dims shape = dims_of(x);
    MPS_CHECK(shape.size() == 3, kArgument, "bad rank of x: expected 3, got ", shape.size(), ".");
    MPS_CHECK(weights.size() == count_ * width_ * 4, kArgument, "wrong number of weights: expected ",
              count_ * width_ * 4, ", got ", weights.size(), ".");
    time_ = shape[0];
    batch_ = shape[1];
    hidden_ = dims_of(*pre_state[0])[2];
    input_ = wide(record, x);
    for (const phi::DenseTensor* weight : weights) weights_.push_back(wide(record, *weight));
    for (const phi::DenseTensor* state : pre_state) states_.push_back(wide(record, *state));
    if (lengths) lengths_ = g_.cast(record.input(*lengths, {batch_, 1}), DType::int32);
    has_lengths_ = static_cast<bool>(lengths);
  }

  Shape mask_shape() const {
    return {static_cast<int64_t>(count_) - 1, time_, batch_, hidden_ * static_cast<int64_t>(width_)};
  }

  // h of all steps, and for LSTM c: [kinds, layers * directions, time, batch, hidden].
  Shape states_shape() const {
    return {cell_ == Cell::kLstm ? 2 : 1, static_cast<int64_t>(count_ * width_), time_, batch_, hidden_};
  }
  Value states() {
    std::vector<Value> rows;
    for (size_t kind = 0; kind < (cell_ == Cell::kLstm ? 2 : 1); ++kind) {
      for (const Layer& layer : layers_) {
        for (const Direction& direction : layer.directions) {
          for (const Value& h : kind == 0 ? direction.h : direction.c)
            rows.push_back(g_.reshape(h, {1, batch_, hidden_}));
        }
      }
    }
    return joined(rows);
  }

  // Runs all layers; `mask` drops elements between them, unless there is none. With the states of an earlier run, what
  // the steps made is found for all of them at once.
  void run(const Value* mask, const Value* states = nullptr) {
    Value input = input_;
    for (size_t i = 0; i < count_; ++i) {
      if (i > 0 && mask != nullptr) input = dropped(input, *mask, i - 1);
      Layer layer{input, {}};
      SmallVector<Value, 2> outputs;
      for (size_t d = 0; d < width_; ++d) {
        const size_t first = (i * width_ + d) * 2, biases = weights_.size() / 2;
        layer.directions.push_back(
            {first, first + 1, biases + first, biases + first + 1, i * width_ + d, d == 1, {}, {}, {}, {}});
        Direction* const direction = &layer.directions.back();
        outputs.push_back(states != nullptr ? recall(direction, input, *states) : run_direction(direction, input));
      }
      layers_.push_back(std::move(layer));
      input = outputs.size() == 1 ? outputs[0] : g_.concatenation(outputs, 2);
    }
    output_ = input;
  }

  Value output() const { return output_; }
  // The last h, or c, of all layers and directions.
  Value last(size_t which) {
    SmallVector<Value, 8> values;
    for (const Layer& layer : layers_) {
      for (const Direction& direction : layer.directions) {
        values.push_back(
            g_.reshape(which == 0 ? after_[direction.state].h : after_[direction.state].c, {1, batch_, hidden_}));
      }
    }
    return values.size() == 1 ? values[0] : g_.concatenation(values, 0);
  }

  struct Gradients {
    Value x;
    std::vector<Value> weights, states;
  };
  Gradients gradients(Value doutput, const std::vector<Value>& dstates, const Value* mask) {
    Gradients result;
    result.weights.resize(weights_.size());
    std::vector<Value> h_parts(count_ * width_), c_parts(count_ * width_);
    for (size_t i = count_; i-- > 0;) {
      Value dinput;
      for (size_t d = 0; d < width_; ++d) {
        const Value share = slice_axis(g_, doutput, 2, static_cast<int64_t>(d) * hidden_, hidden_);
        const size_t at = i * width_ + d;
        const Value part =
            back(layers_[i].directions[d], layers_[i].input, share, dstates, &result, &h_parts[at], &c_parts[at]);
        dinput = d == 0 ? part : g_.addition(dinput, part);
      }
      doutput = i > 0 && mask != nullptr ? dropped(dinput, *mask, i - 1) : dinput;
    }
    result.x = doutput;
    result.states.push_back(stacked(h_parts));
    if (cell_ == Cell::kLstm) result.states.push_back(stacked(c_parts));
    return result;
  }

 private:
  struct Last {
    Value h, c;
  };

  Value dropped(Value x, Value mask, size_t layer) {
    const Value keep = g_.reshape(slice_axis(g_, mask, 0, static_cast<int64_t>(layer), 1), Shape(g_.shape(x)));
    const Value scaled = g_.division(x, record_.scalar(1 - dropout_, DType::float32));
    return g_.select(keep, scaled, graphs::like(g_, x, 0));
  }

  Value state_at(size_t which, size_t place) {
    const Value row = slice_axis(g_, states_[which], 0, static_cast<int64_t>(place), 1);
    return g_.reshape(row, {batch_, hidden_});
  }

  // x W^T + bias, for rows of x.
  Value projected(Value x, Value weight, Value bias) {
    const Value product = g_.matrix_multiplication(x, matrix_transpose(g_, weight));
    return g_.addition(product, g_.reshape(bias, {1, g_.elements(bias)}));
  }

  // Whether each sequence is still running at this time: [batch, 1].
  Value runs_at(int64_t time) { return g_.greater_than(lengths_, g_.constant(time, DType::int32)); }

  int64_t time_of(const Direction& direction, int64_t i) const { return direction.is_reverse ? time_ - 1 - i : i; }

  Value run_direction(Direction* direction, Value input) {
    const int64_t features = g_.shape(input)[2], size = graphs::gates_of(cell_) * hidden_;
    const Value rows = g_.reshape(input, {time_ * batch_, features});
    const Value gates = g_.reshape(projected(rows, weights_[direction->input_weight], weights_[direction->input_bias]),
                                   {time_, batch_, size});
    Value h = state_at(0, direction->state), c = cell_ == Cell::kLstm ? state_at(1, direction->state) : Value{};
    std::vector<Value> outputs(static_cast<size_t>(time_));
    direction->steps.resize(static_cast<size_t>(time_));
    direction->h.resize(static_cast<size_t>(time_));
    direction->c.resize(static_cast<size_t>(time_));
    for (int64_t i = 0; i < time_; ++i) {
      const int64_t time = time_of(*direction, i);
      const Value from_input = g_.reshape(slice_axis(g_, gates, 0, time, 1), {batch_, size});
      const Value from_state = projected(h, weights_[direction->state_weight], weights_[direction->state_bias]);
      const graphs::Step made = graphs::step(g_, cell_, from_input, from_state, h, c);
      direction->steps[static_cast<size_t>(time)] = made;
      Value out = made.h;
      if (has_lengths_) {  // a sequence that has ended puts out 0 and keeps its state
        const Value runs = runs_at(time);
        out = g_.select(runs, made.h, graphs::like(g_, made.h, 0));
        h = g_.select(runs, made.h, h);
        if (cell_ == Cell::kLstm) c = g_.select(runs, made.c, c);
      } else {
        h = made.h;
        c = made.c;
      }
      direction->h[static_cast<size_t>(time)] = h;
      direction->c[static_cast<size_t>(time)] = c;
      outputs[static_cast<size_t>(time)] = g_.reshape(out, {1, batch_, hidden_});
    }
    after_.push_back({h, c});
    return joined(outputs);
  }

  // The states before each step, by time: those after the step before it. [time * batch, hidden]
  Value before_steps(const Direction& direction, Value states, size_t kind) {
    const auto place = static_cast<int64_t>(direction.state);
    const Value of_kind = slice_axis(g_, states, 0, static_cast<int64_t>(kind), 1);
    const Value after = g_.reshape(slice_axis(g_, of_kind, 1, place, 1), {time_, batch_, hidden_});
    const Value first = g_.reshape(state_at(kind, direction.state), {1, batch_, hidden_});
    const Value others = slice_axis(g_, after, 0, direction.is_reverse ? 1 : 0, time_ - 1);
    const Value all = time_ == 1             ? first
                      : direction.is_reverse ? g_.concatenation({others, first}, 0)
                                             : g_.concatenation({first, others}, 0);
    return g_.reshape(all, {time_ * batch_, hidden_});
  }

  // As run_direction(), where the state before each step is known: one product and one step for all.
  Value recall(Direction* direction, Value input, Value states) {
    const Value rows = g_.reshape(input, {time_ * batch_, g_.shape(input)[2]});
    const Value from_input = projected(rows, weights_[direction->input_weight], weights_[direction->input_bias]);
    const Value h = before_steps(*direction, states, 0);
    const Value c = cell_ == Cell::kLstm ? before_steps(*direction, states, 1) : Value{};
    const Value from_state = projected(h, weights_[direction->state_weight], weights_[direction->state_bias]);
    const graphs::Step all = graphs::step(g_, cell_, from_input, from_state, h, c);
    const auto rows_at = [&](Value x, int64_t time) {
      return x.node == Value{}.node ? x : slice_axis(g_, x, 0, time * batch_, batch_);
    };
    for (int64_t time = 0; time < time_; ++time) {
      graphs::Step made;
      made.h_before = rows_at(h, time);
      made.c_before = rows_at(c, time);
      for (size_t i = 0; i < 4; ++i) made.gates[i] = rows_at(all.gates[i], time);
      made.of_candidate = rows_at(all.of_candidate, time);
      made.c_tanh = rows_at(all.c_tanh, time);
      made.h = rows_at(all.h, time);
      made.c = rows_at(all.c, time);
      direction->steps.push_back(made);
    }
    direction->all_before = h;
    const Value out = g_.reshape(all.h, {time_, batch_, hidden_});
    if (!has_lengths_) return out;
    const Value time = g_.coordinate({time_, 1, 1}, 0);
    return g_.select(g_.less_than(time, g_.reshape(lengths_, {1, batch_, 1})), out, graphs::like(g_, out, 0));
  }

  Value joined(const std::vector<Value>& rows) {
    return rows.size() == 1 ? rows[0] : g_.concatenation({rows.data(), rows.size()}, 0);
  }
  Value stacked(const std::vector<Value>& states) {
    std::vector<Value> rows;
    for (Value state : states) rows.push_back(g_.reshape(state, {1, batch_, hidden_}));
    return joined(rows);
  }

  Value back(const Direction& direction, Value input, Value doutput, const std::vector<Value>& dstates,
             Gradients* result, Value* dh_first, Value* dc_first) {
    const auto last = [&](size_t which) {
      const Value row = slice_axis(g_, dstates[which], 0, static_cast<int64_t>(direction.state), 1);
      return g_.reshape(row, {batch_, hidden_});
    };
    const bool is_lstm = cell_ == Cell::kLstm;
    const Value weight = weights_[direction.state_weight];
    Value dh = last(0), dc = is_lstm ? last(1) : Value{};
    const Value zero = graphs::like(g_, dh, 0);
    const int64_t size = graphs::gates_of(cell_) * hidden_;
    std::vector<Value> by_input(static_cast<size_t>(time_)), by_state(static_cast<size_t>(time_));
    std::vector<Value> before(static_cast<size_t>(time_));
    for (int64_t i = time_; i-- > 0;) {
      const int64_t time = time_of(direction, i);
      const size_t at = static_cast<size_t>(time);
      const graphs::Step& made = direction.steps[at];
      const Value dout = g_.reshape(slice_axis(g_, doutput, 0, time, 1), {batch_, hidden_});
      Value dh_here = g_.addition(dh, dout), dc_here = dc, dh_past, dc_past;
      if (has_lengths_) {
        const Value runs = runs_at(time);
        dh_here = g_.select(runs, dh_here, zero);
        dh_past = g_.select(runs, zero, dh);
        if (is_lstm) {
          dc_here = g_.select(runs, dc, zero);
          dc_past = g_.select(runs, zero, dc);
        }
      }
      const graphs::StepGradient slopes = graphs::step_gradient(g_, cell_, made, dh_here, dc_here);
      dh = g_.matrix_multiplication(slopes.from_state, weight);
      if (cell_ == Cell::kGru) dh = g_.addition(dh, slopes.h);
      if (is_lstm) dc = slopes.c;
      if (has_lengths_) {
        dh = g_.addition(dh, dh_past);
        if (is_lstm) dc = g_.addition(dc, dc_past);
      }
      by_input[at] = g_.reshape(slopes.from_input, {1, batch_, size});
      by_state[at] = g_.reshape(slopes.from_state, {1, batch_, size});
      before[at] = g_.reshape(made.h_before, {1, batch_, hidden_});
    }
    *dh_first = dh;
    *dc_first = dc;
    const auto rows = [&](Value x, int64_t columns) { return g_.reshape(x, {time_ * batch_, columns}); };
    const int64_t features = g_.shape(input)[2];
    const Value from_input = rows(joined(by_input), size);
    const Value from_state = cell_ == Cell::kGru ? rows(joined(by_state), size) : from_input;
    const bool recalled = direction.all_before.node != Value{}.node;
    const Value h_before = recalled ? direction.all_before : rows(joined(before), hidden_);
    const auto write_weight = [&](size_t at, Value slopes, Value x) {
      result->weights[at] = g_.matrix_multiplication(matrix_transpose(g_, slopes), x);
    };
    write_weight(direction.input_weight, from_input, rows(input, features));
    write_weight(direction.state_weight, from_state, h_before);
    const Value sum = g_.reduction_sum(from_input, {0});
    result->weights[direction.input_bias] = sum;
    result->weights[direction.state_bias] = cell_ == Cell::kGru ? g_.reduction_sum(from_state, {0}) : sum;
    const Value dinput = g_.matrix_multiplication(from_input, weights_[direction.input_weight]);
    return g_.reshape(dinput, {time_, batch_, features});
  }

  Recorder& record_;
  Graph& g_;
  Cell cell_;
  size_t count_, width_;
  float dropout_;
  int64_t time_ = 0, batch_ = 0, hidden_ = 0;
  bool has_lengths_ = false;
  Value input_, output_, lengths_;
  std::vector<Value> weights_, states_;
  std::vector<Layer> layers_;
  std::vector<Last> after_;  // by place in the state
};

}  // namespace mps::paddle
