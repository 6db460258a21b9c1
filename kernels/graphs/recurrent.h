// One step of a recurrent cell, and back: LSTM, GRU, and the simple one with tanh or relu.
//
// Gates are [gates, batch, hidden]: those of the input and those of the state before. Biases are [gates, 1, hidden].
// The gradients of gates are [batch, gates * hidden], which is what products with weights take. Names are the usual
// ones: h is what a cell puts out, c what an LSTM keeps.
#pragma once

#include "kernels/graphs/function.h"
#include "kernels/graphs/lines.h"

namespace mps::graphs {

enum class Cell { kLstm, kGru, kTanh, kRelu };

// What is kept of a step for the way back, one of each for every element of h: h, c, the gates, and GRU's of_candidate.
constexpr int64_t kept_of(Cell cell) { return cell == Cell::kLstm ? 6 : (cell == Cell::kGru ? 5 : 1); }

constexpr int64_t gates_of(Cell cell) { return cell == Cell::kLstm ? 4 : (cell == Cell::kGru ? 3 : 1); }

// What a step made, kept for the way back.
struct Step {
  Value h_before, c_before;
  Value gates[4];      // after their functions; LSTM: input, forget, candidate, output; GRU: reset, update, candidate
  Value of_candidate;  // GRU: what the reset gate lets through
  Value c_tanh;        // LSTM
  Value h, c;
};

// `bias` is that of the input; the state has one of its own only in GRU, whose candidate takes it within its reset
// gate. In the others it is part of `bias`.
inline Step step(Graph& g, Cell cell, Value from_input, Value from_state, Value bias, Value state_bias, Value h,
                 Value c) {
  const int64_t batch = g.shape(h)[0], hidden = g.shape(h)[1];
  const auto part = [&](Value gates, int64_t i, int64_t rows) {
    return g.reshape(slice_axis(g, gates, 0, i, 1), {rows, hidden});
  };
  const auto by_input = [&](int64_t i) { return g.addition(part(from_input, i, batch), part(bias, i, 1)); };
  const auto by_state = [&](int64_t i) {
    const Value product = part(from_state, i, batch);
    return cell == Cell::kGru ? g.addition(product, part(state_bias, i, 1)) : product;
  };
  const auto sum = [&](int64_t i) { return g.addition(by_input(i), by_state(i)); };
  Step made;
  made.h_before = h;
  made.c_before = c;
  if (cell == Cell::kLstm) {
    for (int64_t i = 0; i < 4; ++i) made.gates[i] = i == 2 ? g.tanh(sum(i)) : g.sigmoid(sum(i));
    made.c = g.addition(g.multiplication(made.gates[1], c), g.multiplication(made.gates[0], made.gates[2]));
    made.c_tanh = g.tanh(made.c);
    made.h = g.multiplication(made.gates[3], made.c_tanh);
  } else if (cell == Cell::kGru) {
    for (int64_t i = 0; i < 2; ++i) made.gates[i] = g.sigmoid(sum(i));
    made.of_candidate = by_state(2);
    made.gates[2] = g.tanh(g.addition(by_input(2), g.multiplication(made.gates[0], made.of_candidate)));
    made.h = g.addition(g.multiplication(g.subtraction(h, made.gates[2]), made.gates[1]), made.gates[2]);
  } else {
    made.h = cell == Cell::kTanh ? g.tanh(sum(0)) : g.relu(sum(0));
  }
  return made;
}

// Gradients by the gates, and by h and c before, but for what reaches h through the gates.
struct StepGradient {
  Value from_input, from_state, h, c;
};

inline StepGradient step_gradient(Graph& g, Cell cell, const Step& made, Value dh, Value dc) {
  const auto by_sigmoid = [&](Value dy, Value y) {
    return g.multiplication(dy, g.multiplication(y, g.subtraction(like(g, y, 1), y)));
  };
  const auto by_tanh = [&](Value dy, Value y) { return g.multiplication(dy, one_minus_square(g, y)); };
  StepGradient slopes;
  if (cell == Cell::kLstm) {
    const Value in = made.gates[0], forget = made.gates[1], candidate = made.gates[2], out = made.gates[3];
    const Value kept = g.addition(dc, by_tanh(g.multiplication(dh, out), made.c_tanh));
    slopes.from_input = g.concatenation(
        {by_sigmoid(g.multiplication(kept, candidate), in), by_sigmoid(g.multiplication(kept, made.c_before), forget),
         by_tanh(g.multiplication(kept, in), candidate), by_sigmoid(g.multiplication(dh, made.c_tanh), out)},
        1);
    slopes.from_state = slopes.from_input;
    slopes.c = g.multiplication(kept, forget);
  } else if (cell == Cell::kGru) {
    const Value reset = made.gates[0], update = made.gates[1], candidate = made.gates[2];
    const Value d_candidate = by_tanh(g.multiplication(dh, g.subtraction(like(g, update, 1), update)), candidate);
    const Value d_update = by_sigmoid(g.multiplication(dh, g.subtraction(made.h_before, candidate)), update);
    const Value d_reset = by_sigmoid(g.multiplication(d_candidate, made.of_candidate), reset);
    slopes.from_input = g.concatenation({d_reset, d_update, d_candidate}, 1);
    slopes.from_state = g.concatenation({d_reset, d_update, g.multiplication(d_candidate, reset)}, 1);
    slopes.h = g.multiplication(dh, update);
  } else {
    const Value zero = like(g, dh, 0);
    slopes.from_input = cell == Cell::kTanh ? by_tanh(dh, made.h) : g.select(g.greater_than(made.h, zero), dh, zero);
    slopes.from_state = slopes.from_input;
  }
  return slopes;
}

}  // namespace mps::graphs
