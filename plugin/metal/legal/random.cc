#include "plugin/metal/legal/random.h"

#include "plugin/metal/legal/lines.h"

namespace mps::legal {
namespace {

// int32 as words of 32 bits: sums and products wrap, which is what unsigned ones do.
class Word {
 public:
  Word(Builder& b, Value x) : b_(&b), value_(x) {}
  Value value() const { return value_; }
  Word number(int64_t bits) const { return {*b_, b_->constant(bits, DType::int32)}; }
  Word with(NodeKind kind, Word y) const { return {*b_, b_->record(kind, {value_, y.value_})}; }
  Word low_half() const { return with(NodeKind::bitwise_and, number(0xFFFF)); }
  // The shift copies the sign, which the mask takes off again.
  Word high_half() const { return with(NodeKind::bitwise_right_shift, number(16)).low_half(); }

 private:
  Builder* b_;
  Value value_;
};

Word operator+(Word x, Word y) { return x.with(NodeKind::addition, y); }
Word operator*(Word x, Word y) { return x.with(NodeKind::multiplication, y); }
Word operator^(Word x, Word y) { return x.with(NodeKind::bitwise_xor, y); }

// 1 where x < y as numbers without sign, else 0: with the highest bit turned, numbers with sign have that order.
Word is_below(Builder& b, Word x, Word y) {
  const Word highest = x.number(int64_t{1} << 31);
  const Value below = b.record(NodeKind::less_than, {(x ^ highest).value(), (y ^ highest).value()});
  return {b, b.cast(below, DType::int32)};
}

struct Product {
  Word low, high;
};

// All 64 bits of factor * x, in digits of 16 bits: no sum of a product and a digit is more than 32 bits.
Product multiply(int64_t factor, Word x) {
  const Word factor_low = x.number(factor & 0xFFFF), factor_high = x.number(factor >> 16);
  const Word low = x.low_half(), high = x.high_half();
  const Word first = factor_high * low + (factor_low * low).high_half();
  const Word second = factor_low * high + first.low_half();
  return {x.number(factor) * x, factor_high * high + first.high_half() + second.high_half()};
}

}  // namespace

Value random_bits(Builder& b, const Graph::Counter& counter, Dims shape) {
  constexpr int64_t kFactors[] = {0xD2511F53, 0xCD9E8D57}, kWeyl[] = {0x9E3779B9, 0xBB67AE85};
  const Shape target(shape);
  const int64_t count = element_count(target), blocks = (count + 3) / 4;
  const auto word = [&](Value value) { return Word(b, value); };
  const Word offset = word(coordinate(b, {blocks, 1}, 0));
  const Word first_low = word(counter.block[0]), low = first_low + offset;
  const Word high = word(counter.block[1]) + is_below(b, low, first_low);
  Word x[] = {low, high, word(counter.block[2]), word(counter.block[3])};
  Word key_low = word(counter.key[0]), key_high = word(counter.key[1]);
  for (int round = 0; round < 10; ++round) {
    const Product first = multiply(kFactors[0], x[0]), second = multiply(kFactors[1], x[2]);
    x[0] = second.high ^ x[1] ^ key_low;
    x[1] = second.low;
    x[2] = first.high ^ x[3] ^ key_high;
    x[3] = first.low;
    key_low = key_low + low.number(kWeyl[0]);
    key_high = key_high + low.number(kWeyl[1]);
  }
  const Value words[] = {x[0].value(), x[1].value(), x[2].value(), x[3].value()};
  const Value line = b.reshape(b.concatenation({words, 4}, 1), {4 * blocks});
  return b.reshape(b.slice(line, 0, 0, count), target);
}

}  // namespace mps::legal
