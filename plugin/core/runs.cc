#include "plugin/core/runs.h"

#include "plugin/core/check.h"

namespace mps {
Runs::Runs(uint32_t pages)
    : pages_(pages),
      length_(new uint32_t[pages]()),
      start_of_(new uint32_t[pages]()),
      starts_(new uint64_t[pages / 64 + 1]()),
      free_(new uint64_t[pages / 64 + 1]()) {
  MPS_CHECK(pages > 0, kInternal, "bad arena size: expected at least one page, got none.");
  begin_run({0, pages}, true);
}

void Runs::begin_run(Run run, bool free) {
  const uint64_t bit = uint64_t{1} << run.start % 64;
  starts_[run.start / 64] |= bit;
  length_[run.start] = run.pages;
  if (free) {
    free_[run.start / 64] |= bit;
    start_of_[run.start + run.pages - 1] = run.start;
  } else {
    free_[run.start / 64] &= ~bit;
  }
}

void Runs::end_run(uint32_t start) {
  const uint64_t bit = uint64_t{1} << start % 64;
  starts_[start / 64] &= ~bit;
  free_[start / 64] &= ~bit;
}

Runs::Run Runs::take(uint32_t start, uint32_t pages) {
  MPS_CHECK(start < pages_ && is_free(start) && pages > 0 && pages <= length_[start], kInternal, "no free run of ",
            pages, " pages starts at ", start, ".");
  const Run rest{start + pages, length_[start] - pages};
  begin_run({start, pages}, false);
  if (rest.pages != 0) begin_run(rest, true);
  used_ += pages;
  return rest;
}

Runs::Freed Runs::free(uint32_t start) {
  const bool is_block = start < pages_ && (starts_[start / 64] >> start % 64 & 1) != 0 && !is_free(start);
  MPS_CHECK(is_block, kInternal, "free of a page that no block starts at: got ", start, ".");
  Freed freed;
  freed.block = {start, length_[start]};
  used_ -= freed.block.pages;
  freed.merged = freed.block;
  const uint32_t end = start + freed.block.pages;
  if (end < pages_ && is_free(end)) {
    freed.after = {end, length_[end]};
    freed.merged.pages += freed.after.pages;
    end_run(end);
  }
  // What stands at the page before is the start of a free run, or was once: it is believed if such a run reaches us.
  if (start > 0) {
    const uint32_t before = start_of_[start - 1];
    if (before < start && is_free(before) && before + length_[before] == start) {
      freed.before = {before, length_[before]};
      freed.merged = {before, freed.before.pages + freed.merged.pages};
      end_run(start);
    }
  }
  begin_run(freed.merged, true);
  return freed;
}

Runs::Run Runs::find(uint32_t page) const {
  if (page >= pages_) return {};
  // The last bit at or before the page.
  uint32_t word = page / 64;
  uint64_t bits = starts_[word] & (~uint64_t{0} >> (63 - page % 64));
  while (bits == 0) bits = starts_[--word];  // bit 0 of word 0 is always set
  const uint32_t start = word * 64 + 63 - static_cast<uint32_t>(__builtin_clzll(bits));
  return is_free(start) ? Run{} : Run{start, length_[start]};
}

}  // namespace mps
