#include "plugin/core/pool.h"

#include <algorithm>

namespace mps {

Place Pool::take(size_t bytes) { return is_small(bytes) ? take_small(bytes) : take_large(bytes); }

Place Pool::take_small(size_t bytes) {
  if (small_arenas_.empty()) return {};
  const uint32_t units = small_arenas_.front()->units_of(bytes);
  if (units < kept_.size() && !kept_[units].empty()) {
    const Place place = kept_[units].back();
    kept_[units].pop_back();
    return place;
  }
  for (Arena* arena : small_arenas_) {
    if (arena->largest_free_piece() < units) continue;
    *free_space_changed_ = true;
    const uint32_t unit = arena->cut_small(units);
    if (unit != Arena::kNone) return {arena, unit};
  }
  return {};
}

Place Pool::take_large(size_t bytes) {
  if (free_runs_.empty()) return {};
  const uint32_t pages = free_runs_.begin()->arena->units_of(bytes);
  const auto best = free_runs_.lower_bound({pages, 0, 0, nullptr});
  if (best == free_runs_.end()) return {};
  *free_space_changed_ = true;
  const FreeRun run = *best;
  free_runs_.erase(best);
  const Runs::Run rest = run.arena->cut_large(run.start, pages);
  if (rest.pages != 0) free_runs_.insert(free_run(run.arena, rest));
  return {run.arena, run.start};
}

void Pool::put(Place place) {
  Block& block = place.block();
  block.slack = Block::kIdle;
  block.users = 0;
  if (place.arena->is_small()) {
    if (kept_.size() <= block.units) kept_.resize(block.units + 1);
    kept_[block.units].push_back(place);
    return;
  }
  *free_space_changed_ = true;
  const Runs::Freed freed = place.arena->join_large(place.unit);
  for (const Runs::Run& absorbed : {freed.before, freed.after}) {
    if (absorbed.pages != 0) free_runs_.erase(free_run(place.arena, absorbed));
  }
  free_runs_.insert(free_run(place.arena, freed.merged));
}

bool Pool::join() {
  bool any = false;
  for (std::vector<Place>& places : kept_) {
    for (const Place& place : places) place.arena->join_small(place.unit);
    any |= !places.empty();
    places.clear();
  }
  *free_space_changed_ |= any;
  return any;
}

void Pool::add(Arena* arena) {
  *free_space_changed_ = true;
  if (arena->is_small()) {
    small_arenas_.push_back(arena);
    small_bytes_ += arena->bytes();
  } else {
    arena->for_each(
        [&](uint32_t start, uint32_t pages, const Block*) { free_runs_.insert(free_run(arena, {start, pages})); });
  }
}

void Pool::remove(Arena* arena) {
  *free_space_changed_ = true;
  if (arena->is_small()) {
    small_arenas_.erase(std::find(small_arenas_.begin(), small_arenas_.end(), arena));
    small_bytes_ -= arena->bytes();
  } else {
    arena->for_each(
        [&](uint32_t start, uint32_t pages, const Block*) { free_runs_.erase(free_run(arena, {start, pages})); });
  }
}

size_t Pool::largest_free_bytes() const {
  size_t largest = 0;
  for (const Arena* arena : small_arenas_) {
    largest = std::max(largest, arena->largest_free_piece() * arena->unit_bytes());
  }
  if (!free_runs_.empty()) {
    const FreeRun& run = *free_runs_.rbegin();
    largest = std::max(largest, run.pages * run.arena->unit_bytes());
  }
  return largest;
}

}  // namespace mps
