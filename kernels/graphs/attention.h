// What a query may see, as ranges of keys: causal attention, sequences that lie one behind the other, padded ones.
#pragma once

#include "kernels/graphs/lines.h"

namespace mps::graphs {

inline Value plus(Graph& g, Value x, int64_t y) { return y == 0 ? x : g.addition(x, number(g, x, y)); }

// int32 [B, Q, 2] of two columns of any shapes that broadcast to [B, Q].
inline Value ranges_of(Graph& g, Value first, Value last, Dims shape) {
  const Shape column{shape[0], shape[1], 1};
  const auto whole = [&](Value x) { return g.reshape(g.broadcast(x, shape), column); };
  return g.concatenation({whole(first), whole(last)}, 2);
}

// Query i sees the keys 0 .. i + diagonal: [1, Q, 2].
inline Value causal_ranges(Graph& g, int64_t queries, int64_t diagonal) {
  const Value last = plus(g, g.coordinate({1, queries}, 1), diagonal + 1);
  return ranges_of(g, number(g, last, 0), last, {1, queries});
}

// Sequences one behind the other: s has the queries starts_q[s] .. starts_q[s + 1] - 1, and sees keys likewise. What
// `limits` and `diagonals` say of each is optional: at most so many keys, and so many keys beyond the causal ones.
struct Packed {
  Value starts_q, starts_k;                             // [N + 1]
  bool causal = false, from_the_end = false;            // the last query of a sequence sees its last key
  const Value *limits = nullptr, *diagonals = nullptr;  // [N]
};

// [1, Q, 2]. Queries in no sequence see nothing.
inline Value packed_ranges(Graph& g, const Packed& packed, int64_t queries) {
  const auto line = [&](Value x) { return g.reshape(g.cast(x, DType::int32), {1, g.elements(x)}); };
  const Value starts_q = line(packed.starts_q), starts_k = line(packed.starts_k);
  const Value i = g.coordinate({1, queries}, 1);
  const Value behind = g.search_sorted(starts_q, i, /*right=*/true);  // the sequence after that of the query
  const auto at = [&](Value values, int64_t offset) {
    const Value found =
        g.gather(g.reshape(plus(g, behind, offset), {queries}), g.reshape(values, {1, g.elements(values), 1}));
    return g.reshape(found, {1, queries});
  };
  const Value first = at(starts_k, -1), end = at(starts_k, 0);
  Value last = end;
  if (packed.limits != nullptr) last = g.minimum(last, g.addition(first, at(line(*packed.limits), -1)));
  if (packed.causal) {
    Value seen = plus(g, g.addition(first, g.subtraction(i, at(starts_q, -1))), 1);
    if (packed.from_the_end) {
      const Value more = g.subtraction(g.subtraction(end, first), g.subtraction(at(starts_q, 0), at(starts_q, -1)));
      seen = g.addition(seen, more);
    }
    if (packed.diagonals != nullptr) seen = g.addition(seen, at(line(*packed.diagonals), -1));
    last = g.minimum(last, seen);
  }
  return ranges_of(g, first, last, {1, queries});
}

// Queries of sequence b from count[b] on see nothing; keys from limit[b] on are seen by none: [B, Q, 2].
inline Value padded_ranges(Graph& g, Value counts, Value limits, bool causal, int64_t more, int64_t queries) {
  const Shape each{g.elements(counts), 1};
  const Value count = g.reshape(g.cast(counts, DType::int32), each), i = g.coordinate({1, queries}, 1);
  Value last = plus(g, g.reshape(g.cast(limits, DType::int32), each), more);
  if (causal) last = g.minimum(last, plus(g, i, more + 1));
  last = g.select(g.less_than(i, count), last, number(g, last, 0));
  return ranges_of(g, number(g, last, 0), last, {each[0], queries});
}

// Room for `longest` tokens of each sequence; s has the first starts[s + 1] - starts[s] of its own: [1, Q, 2].
inline Value roomy_ranges(Graph& g, Value starts, int64_t longest, bool causal, int64_t queries) {
  const int64_t count = g.elements(starts) - 1;
  const Value line = g.reshape(g.cast(starts, DType::int32), {count + 1});
  const Value lengths = g.subtraction(slice_axis(g, line, 0, 1, count), slice_axis(g, line, 0, 0, count));
  const Value i = g.coordinate({1, queries}, 1);
  const Value sequence = g.division(i, number(g, i, longest));
  const Value first = g.multiplication(sequence, number(g, i, longest)), place = g.subtraction(i, first);
  const Value length = g.reshape(take(g, lengths, 0, sequence), {1, queries});
  const Value seen = causal ? plus(g, place, 1) : length;
  return ranges_of(g, first, g.select(g.less_than(place, length), g.addition(first, seen), first), {1, queries});
}

}  // namespace mps::graphs
