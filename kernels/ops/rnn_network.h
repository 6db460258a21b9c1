// A network of recurrent cells as a graph: layers, directions, sequences of different length, and back through all.
//
// The gates of the inputs are one product for all steps; only those of the state are made step by step. The way back
// needs what the steps made, and the way there keeps it, as Paddle's own kernels do: making it again would take a third
// of the time.
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
  // What is kept, [time, batch, hidden] each: h, then what else kept_of() counts.
  std::vector<Value> kept;
  Value all_before;  // h before each step, [time * batch, hidden]; recalled only
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

  // What the steps made: [layers * directions, kept_of(), time, batch, hidden].
  Shape states_shape() const {
    return {static_cast<int64_t>(count_ * width_), graphs::kept_of(cell_), time_, batch_, hidden_};
  }
  Value states() {
    std::vector<Value> all;
    for (const Layer& layer : layers_) {
      for (const Direction& direction : layer.directions) {
        all.insert(all.end(), direction.kept.begin(), direction.kept.end());
      }
    }
    return joined(all);
  }

  // Runs all layers; `mask` drops elements between them, unless there is none. Or takes what the steps of an earlier
  // run made.
  void run(const Value* mask, const Value* states = nullptr) {
    Value input = input_;
    for (size_t i = 0; i < count_; ++i) {
      if (i > 0 && mask != nullptr) input = dropped(input, *mask, i - 1);
      Layer layer{input, {}};
      SmallVector<Value, 2> outputs;
      for (size_t d = 0; d < width_; ++d) {
        const size_t first = (i * width_ + d) * 2, biases = weights_.size() / 2;
        layer.directions.push_back(
            {first, first + 1, biases + first, biases + first + 1, i * width_ + d, d == 1, {}, {}, {}});
        Direction* const direction = &layer.directions.back();
        outputs.push_back(states != nullptr ? recall(direction, *states) : run_direction(direction, input));
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

  // x W^T gate by gate, for rows of x: [gates, rows, hidden]. So each gate of each step lies in one piece.
  Value projected(Value x, Value gate_weights) {
    return g_.matrix_multiplication(g_.reshape(x, {1, g_.shape(x)[0], g_.shape(x)[1]}), gate_weights);
  }
  // [gates, features, hidden]
  Value gate_weights(size_t place) {
    const Value weight = weights_[place];
    return matrix_transpose(g_, g_.reshape(weight, {graphs::gates_of(cell_), hidden_, g_.shape(weight)[1]}));
  }
  Value bias(size_t place) { return g_.reshape(weights_[place], {graphs::gates_of(cell_), 1, hidden_}); }

  // Whether each sequence is still running at this time: [batch, 1].
  Value runs_at(int64_t time) { return g_.greater_than(lengths_, g_.constant(time, DType::int32)); }

  int64_t time_of(const Direction& direction, int64_t i) const { return direction.is_reverse ? time_ - 1 - i : i; }

  Value run_direction(Direction* direction, Value input) {
    const Value rows = g_.reshape(input, {time_ * batch_, g_.shape(input)[2]});
    const Value state_bias = bias(direction->state_bias);
    Value input_bias = bias(direction->input_bias);
    if (cell_ != Cell::kGru) input_bias = g_.addition(input_bias, state_bias);
    const Value gates = projected(rows, gate_weights(direction->input_weight));
    const Value state_weights = gate_weights(direction->state_weight);
    Value h = state_at(0, direction->state), c = cell_ == Cell::kLstm ? state_at(1, direction->state) : Value{};
    const size_t kinds = static_cast<size_t>(graphs::kept_of(cell_)), count = static_cast<size_t>(time_);
    std::vector<std::vector<Value>> kept(kinds, std::vector<Value>(count));  // by time
    std::vector<Value> outputs(count);
    direction->steps.resize(count);
    for (int64_t i = 0; i < time_; ++i) {
      const int64_t time = time_of(*direction, i);
      const size_t at = static_cast<size_t>(time);
      const Value from_input = slice_axis(g_, gates, 1, time * batch_, batch_);
      const Value from_state = projected(h, state_weights);
      const graphs::Step made = graphs::step(g_, cell_, from_input, from_state, input_bias, state_bias, h, c);
      direction->steps[at] = made;
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
      const auto row = [&](Value x) { return g_.reshape(x, {1, batch_, hidden_}); };
      outputs[at] = row(out);
      size_t kind = 0;
      const auto keep = [&](Value x) { kept[kind++][at] = row(x); };
      keep(h);
      if (cell_ == Cell::kLstm) keep(c);
      for (int64_t gate = 0; gate < graphs::gates_of(cell_) && kinds > 1; ++gate) keep(made.gates[gate]);
      if (cell_ == Cell::kGru) keep(made.of_candidate);
    }
    after_.push_back({h, c});
    for (const std::vector<Value>& rows_of_kind : kept) direction->kept.push_back(joined(rows_of_kind));
    return has_lengths_ ? joined(outputs) : direction->kept[0];
  }

  // What was kept of one kind, of a direction: [time, batch, hidden].
  Value kept_at(const Direction& direction, Value states, int64_t kind) {
    const Value of_direction = slice_axis(g_, states, 0, static_cast<int64_t>(direction.state), 1);
    return g_.reshape(slice_axis(g_, of_direction, 1, kind, 1), {time_, batch_, hidden_});
  }

  // The states before each step, by time: those after the step before it. [time * batch, hidden]
  Value before_steps(const Direction& direction, Value after, size_t which) {
    const Value first = g_.reshape(state_at(which, direction.state), {1, batch_, hidden_});
    const Value others = slice_axis(g_, after, 0, direction.is_reverse ? 1 : 0, time_ - 1);
    const Value all = time_ == 1             ? first
                      : direction.is_reverse ? g_.concatenation({others, first}, 0)
                                             : g_.concatenation({first, others}, 0);
    return g_.reshape(all, {time_ * batch_, hidden_});
  }

  // As run_direction(), from what it kept.
  Value recall(Direction* direction, Value states) {
    const bool is_lstm = cell_ == Cell::kLstm;
    std::vector<Value> kept;
    for (int64_t kind = 0; kind < graphs::kept_of(cell_); ++kind) kept.push_back(kept_at(*direction, states, kind));
    const auto at = [&](Value all, int64_t time) {
      return g_.reshape(slice_axis(g_, all, 0, time, 1), {batch_, hidden_});
    };
    const auto before = [&](Value all, int64_t time, size_t which) {
      const int64_t earlier = direction->is_reverse ? time + 1 : time - 1;
      return earlier < 0 || earlier == time_ ? state_at(which, direction->state) : at(all, earlier);
    };
    for (int64_t time = 0; time < time_; ++time) {
      graphs::Step made;
      made.h = at(kept[0], time);
      made.h_before = before(kept[0], time, 0);
      if (is_lstm) {
        made.c = at(kept[1], time);
        made.c_before = before(kept[1], time, 1);
        made.c_tanh = g_.tanh(made.c);
      }
      const size_t first = is_lstm ? 2 : 1, gates = kept.size() > 1 ? static_cast<size_t>(graphs::gates_of(cell_)) : 0;
      for (size_t i = 0; i < gates; ++i) made.gates[i] = at(kept[first + i], time);
      if (cell_ == Cell::kGru) made.of_candidate = at(kept[first + gates], time);
      direction->steps.push_back(made);
    }
    direction->all_before = before_steps(*direction, kept[0], 0);
    if (!has_lengths_) return kept[0];
    const Value time = g_.coordinate({time_, 1, 1}, 0);
    return g_.select(g_.less_than(time, g_.reshape(lengths_, {1, batch_, 1})), kept[0], graphs::like(g_, kept[0], 0));
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
    const Value by_steps = matrix_transpose(g_, from_input);
    if (cell_ != Cell::kGru && features == hidden_) {  // one matrix with two: a device prepares it once
      const auto matrix = [&](Value x) { return g_.reshape(x, {1, time_ * batch_, hidden_}); };
      const Value both = g_.matrix_multiplication(g_.reshape(by_steps, {1, size, time_ * batch_}),
                                                  g_.concatenation({matrix(input), matrix(h_before)}, 0));
      const auto weight_of = [&](int64_t i) { return g_.reshape(slice_axis(g_, both, 0, i, 1), {size, hidden_}); };
      result->weights[direction.input_weight] = weight_of(0);
      result->weights[direction.state_weight] = weight_of(1);
    } else {
      result->weights[direction.input_weight] = g_.matrix_multiplication(by_steps, rows(input, features));
      result->weights[direction.state_weight] =
          g_.matrix_multiplication(cell_ == Cell::kGru ? matrix_transpose(g_, from_state) : by_steps, h_before);
    }
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
