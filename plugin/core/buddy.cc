#include "plugin/core/buddy.h"

#include "plugin/core/check.h"

namespace mps {
namespace {

int floor_log2(uint32_t value) { return 31 - __builtin_clz(value); }
int ceil_log2(uint32_t value) { return value == 1 ? 0 : floor_log2(value - 1) + 1; }

}  // namespace

Buddy::Buddy(int order)
    : order_(order),
      kinds_(new Kind[size_t{1} << order]()),
      orders_(new uint8_t[size_t{1} << order]),
      link_(new Link[size_t{1} << order]) {
  MPS_CHECK(order >= 0 && order <= kMaxOrder, kInternal, "bad arena size: expected an order of 0..", kMaxOrder,
            ", got ", order, ".");
  for (uint32_t& list : lists_) list = kNone;
  push(0, order_);
}

void Buddy::push(uint32_t piece, int order) {
  kinds_[piece] = Kind::kFree;
  orders_[piece] = static_cast<uint8_t>(order);
  link_[piece].previous = kNone;
  link_[piece].next = lists_[order];
  if (lists_[order] != kNone) link_[lists_[order]].previous = piece;
  lists_[order] = piece;
  nonempty_ |= uint32_t{1} << order;
}

void Buddy::remove(uint32_t piece) {
  const int order = orders_[piece];
  const Link link = link_[piece];
  if (link.next != kNone) link_[link.next].previous = link.previous;
  if (link.previous != kNone) {
    link_[link.previous].next = link.next;
  } else {
    lists_[order] = link.next;
    if (link.next == kNone) nonempty_ &= ~(uint32_t{1} << order);
  }
  kinds_[piece] = Kind::kInside;
}

uint32_t Buddy::allocate(uint32_t units) {
  if (units > total_units()) return kNone;
  const int order = ceil_log2(units);
  const uint32_t candidates = nonempty_ >> order;
  if (candidates == 0) return kNone;
  int from = order + __builtin_ctz(candidates);
  const uint32_t start = lists_[from];
  remove(start);
  while (from > order) {
    --from;
    push(start + (uint32_t{1} << from), from);
  }
  // The tail goes back in aligned pieces. Their buddies are in use, so there is nothing to merge.
  const uint32_t end = start + (uint32_t{1} << order);
  for (uint32_t tail = start + units; tail < end;) {
    const int tail_order = __builtin_ctz(tail);
    push(tail, tail_order);
    tail += uint32_t{1} << tail_order;
  }
  uint32_t piece = start;
  for (uint32_t left = units; left != 0;) {
    const int piece_order = floor_log2(left);
    kinds_[piece] = Kind::kContinuation;
    orders_[piece] = static_cast<uint8_t>(piece_order);
    link_[piece].head = start;
    piece += uint32_t{1} << piece_order;
    left -= uint32_t{1} << piece_order;
  }
  kinds_[start] = Kind::kHead;
  link_[start].length = units;
  used_ += units;
  return start;
}

void Buddy::release_piece(uint32_t piece, int order) {
  kinds_[piece] = Kind::kInside;
  while (order < order_) {
    const uint32_t buddy = piece ^ (uint32_t{1} << order);
    if (kinds_[buddy] != Kind::kFree || orders_[buddy] != order) break;
    remove(buddy);
    piece &= ~(uint32_t{1} << order);
    ++order;
  }
  push(piece, order);
}

uint32_t Buddy::free(uint32_t start) {
  MPS_CHECK(start < total_units() && kinds_[start] == Kind::kHead, kInternal,
            "free of a unit that no block starts at: got ", start, ".");
  const uint32_t units = link_[start].length;
  used_ -= units;
  uint32_t piece = start;
  for (uint32_t left = units; left != 0;) {
    const int order = floor_log2(left);
    left -= uint32_t{1} << order;
    release_piece(piece, order);
    piece += uint32_t{1} << order;
  }
  return units;
}

Buddy::Block Buddy::find(uint32_t unit) const {
  if (unit >= total_units()) return {kNone, 0};
  // The piece that holds the unit starts at the unit with some low bits cleared.
  for (int order = 0; order <= order_; ++order) {
    const uint32_t piece = unit >> order << order;
    const Kind kind = kinds_[piece];
    if (kind == Kind::kInside) continue;
    if (kind == Kind::kFree) return {kNone, 0};
    const uint32_t start = kind == Kind::kHead ? piece : link_[piece].head;
    return {start, link_[start].length};
  }
  return {kNone, 0};
}

uint32_t Buddy::largest_free_piece() const { return nonempty_ == 0 ? 0 : uint32_t{1} << floor_log2(nonempty_); }

}  // namespace mps
