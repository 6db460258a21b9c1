// Attention: every query makes a softmax of its products with the keys, and a mean of the values weighted by it. The
// attributes of the attention nodes, and where their operands stand.
//
//   out[b, i, h] = sum over j of p[b, h, i, j] v[b, j, h / group]
//   p[b, h, i, j] = softmax over j of (scale q[b, i, h] . k[b, j, h / group] + mask[b, h, i, j])
//
// Operands, in this order:
//   q [B, Q, H, D], k [B, K, G, D], v [B, K, G, V]: one float dtype; H / G heads in a row share a head of keys
//   gradient only: dout as out [B, Q, H, V]; log_sum [B, H, Q] float32, of the forward result; delta [B, H, Q] float32,
//     the sum over V of dout out
//   ranges [B or 1, Q, 2] int32, if there are any: the keys first .. last - 1 that a query sees
//   mask [B or 1, H or 1, Q or 1, K] float32, if there is one: added to the products; -inf hides a key
//   if dropout is not 0, the six words of a Graph::Counter: element (b, h, i, j) of p is kept if the first 24 bits of
//     that element of random_bits([B, H, Q, K]) are at least dropout 2^24; then it is divided by 1 - dropout
//
// Results are flat float32. Of attention: out [B, Q, H, V], then log_sum [B, H, Q], the logarithm of the sum of the
// exponentials. Of attention_gradient: dq, dk, dv, and with mask_gradient that of the mask, in their operands' shapes.
// A query that sees no key has out = 0, log_sum = +inf, and no part in any gradient.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugin/core/shape.h"

namespace mps {

struct Attention {
  float scale = 1;
  float dropout = 0;
  bool ranges = false, mask = false;
  bool mask_gradient = false;

  // As they stand in a node, and back.
  Ints attributes() const;
  static Attention of(Dims attributes);

  // Positions of operands; `fixed` is 3, of the gradient 6.
  size_t ranges_at(size_t fixed) const { return fixed; }
  size_t mask_at(size_t fixed) const { return fixed + (ranges ? 1 : 0); }
  size_t counter_at(size_t fixed) const { return mask_at(fixed) + (mask ? 1 : 0); }
  size_t operand_count(size_t fixed) const { return counter_at(fixed) + (dropout > 0 ? 6 : 0); }
};

inline constexpr size_t kAttentionOperands = 3, kAttentionGradientOperands = 6;

struct AttentionSizes {
  int64_t batch, queries, heads, width;  // B, Q, H, D
  int64_t keys, key_heads, value_width;  // K, G, V
  static AttentionSizes of(Dims q, Dims k, Dims v) { return {q[0], q[1], q[2], q[3], k[1], k[2], v[3]}; }

  int64_t group() const { return heads / key_heads; }
  int64_t q_elements() const { return batch * queries * heads * width; }
  int64_t k_elements() const { return batch * keys * key_heads * width; }
  int64_t v_elements() const { return batch * keys * key_heads * value_width; }
  int64_t out_elements() const { return batch * queries * heads * value_width; }
  int64_t rows() const { return batch * heads * queries; }
};

}  // namespace mps
