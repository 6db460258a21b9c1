#include "plugin/core/arena.h"

#include <new>

namespace mps {

Arena::Arena(bool is_small, uint64_t number, uint32_t slot, std::unique_ptr<Heap> heap, size_t unit_bytes)
    : is_small_(is_small),
      number_(number),
      slot_(slot),
      heap_(std::move(heap)),
      unit_bytes_(unit_bytes),
      total_units_(static_cast<uint32_t>(heap_->bytes() / unit_bytes)),
      blocks_(static_cast<Block*>(std::calloc(total_units_, sizeof(Block)))) {
  if (blocks_ == nullptr) throw std::bad_alloc();
  if (is_small_) {
    buddy_ = std::make_unique<Buddy>(31 - __builtin_clz(total_units_));
  } else {
    runs_ = std::make_unique<Runs>(total_units_);
  }
  base_ = reinterpret_cast<uintptr_t>(heap_->new_buffer(0, total_units_ * unit_bytes_)->contents());
}

Arena::~Arena() {
  for_each([](uint32_t, uint32_t, const Block* block) {
    if (block != nullptr) delete block->buffer;
  });
}

void Arena::open(uint32_t unit, uint32_t units) {
  const size_t offset = unit * unit_bytes_;
  blocks_[unit] = {heap_->new_buffer(offset, units * unit_bytes_).release(), 0, Block::kIdle, units};
}

void Arena::close(uint32_t unit) {
  delete blocks_[unit].buffer;
  blocks_[unit].buffer = nullptr;
}

uint32_t Arena::cut_small(uint32_t units) {
  const uint32_t unit = buddy_->allocate(units);
  if (unit == Buddy::kNone) return kNone;
  open(unit, units);
  return unit;
}

Runs::Run Arena::cut_large(uint32_t start, uint32_t pages) {
  const Runs::Run rest = runs_->take(start, pages);
  open(start, pages);
  return rest;
}

void Arena::join_small(uint32_t unit) {
  close(unit);
  buddy_->free(unit);
}

Runs::Freed Arena::join_large(uint32_t page) {
  close(page);
  return runs_->free(page);
}

uint32_t Arena::find(uint32_t unit) const {
  if (blocks_[unit].buffer != nullptr) return unit;  // mostly an address is where a block starts
  if (is_small_) {
    const Buddy::Block found = buddy_->find(unit);
    return found.start == Buddy::kNone ? kNone : found.start;
  }
  const Runs::Run found = runs_->find(unit);
  return found.pages == 0 ? kNone : found.start;
}

}  // namespace mps
