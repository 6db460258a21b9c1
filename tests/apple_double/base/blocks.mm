// The run time of blocks, by the ABI that clang compiles for ("Block Implementation Specification" of LLVM).
//
// There are two on Debian, and neither will do: libBlocksRuntime does not retain the objects that a block captures, as
// a Mac does, and GNUstep's takes no block of this compiler for one on the stack. Symbols here are hidden, so that this
// library alone uses them.
#include <Block.h>
#import <Foundation/Foundation.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "tests/apple_double/base/violation.h"

namespace {

enum : int {
  kCountMask = 0xFFFF,
  kOnHeap = 1 << 24,
  kHasHelpers = 1 << 25,
  kGlobal = 1 << 28,
};

enum : int {
  kObject = 3,
  kBlock = 7,
  kVariable = 8,               // a __block variable
  kCalledByVariable = 1 << 7,  // its contents, which are not retained
};

struct Descriptor {
  unsigned long reserved, size;
  void (*copy)(void* to, const void* from);
  void (*dispose)(const void* block);
};

struct Block {
  void* isa;
  std::atomic<int> flags;
  int reserved;
  void (*invoke)(void*, ...);
  const Descriptor* descriptor;
};

struct Variable {
  void* isa;
  Variable* forwarding;
  std::atomic<int> flags;
  unsigned size;
  void (*keep)(Variable* to, Variable* from);
  void (*destroy)(Variable*);
};

void* copied(const void* from, size_t size) {
  void* const to = std::malloc(size);
  if (to == nullptr) std::abort();
  std::memcpy(to, from, size);
  return to;
}

// True if that was the last reference.
bool drop(std::atomic<int>& flags) { return (flags.fetch_sub(1) & kCountMask) == 1; }

Variable* copy_variable(Variable* from) {
  Variable* const now = from->forwarding;
  if (now->flags.load() & kOnHeap) {
    ++now->flags;
    return now;
  }
  auto* const to = static_cast<Variable*>(copied(now, now->size));
  to->flags = (now->flags.load() & ~kCountMask) | kOnHeap | 2;  // the block's and the stack's
  to->forwarding = now->forwarding = to;
  if (now->flags.load() & kHasHelpers) now->keep(to, now);
  return to;
}

void release_variable(Variable* variable) {
  Variable* const now = variable->forwarding;
  if (!(now->flags.load() & kOnHeap) || !drop(now->flags)) return;
  if (now->flags.load() & kHasHelpers) now->destroy(now);
  std::free(now);
}

}  // namespace

extern "C" {

// What the class of a block is: only their addresses are used.
__attribute__((visibility("hidden"))) void* _NSConcreteStackBlock[32];
__attribute__((visibility("hidden"))) void* _NSConcreteGlobalBlock[32];

__attribute__((visibility("hidden"))) void* _Block_copy(const void* from) {
  auto* const block = static_cast<Block*>(const_cast<void*>(from));
  if (block == nullptr) return nullptr;
  if (block->flags.load() & kGlobal) return block;
  if (block->flags.load() & kOnHeap) {
    ++block->flags;
    return block;
  }
  auto* const made = static_cast<Block*>(copied(block, block->descriptor->size));
  made->flags = (block->flags.load() & ~kCountMask) | kOnHeap | 1;
  if (made->flags.load() & kHasHelpers) made->descriptor->copy(made, block);
  return made;
}

__attribute__((visibility("hidden"))) void _Block_release(const void* from) {
  auto* const block = static_cast<Block*>(const_cast<void*>(from));
  if (block == nullptr || (block->flags.load() & kGlobal)) return;
  apple_double::require(block->flags.load() & kOnHeap, "a block on the stack was released: it was not copied before.");
  if (!drop(block->flags)) return;
  if (block->flags.load() & kHasHelpers) block->descriptor->dispose(block);
  std::free(block);
}

__attribute__((visibility("hidden"))) void _Block_object_assign(void* to, const void* from, int kind) {
  const void*& place = *static_cast<const void**>(to);
  if (kind & kCalledByVariable) {
    place = from;
  } else if (kind & kVariable) {
    place = copy_variable(static_cast<Variable*>(const_cast<void*>(from)));
  } else if ((kind & kBlock) == kBlock) {
    place = _Block_copy(from);
  } else {
    place = [(id)from retain];
  }
}

__attribute__((visibility("hidden"))) void _Block_object_dispose(const void* from, int kind) {
  if (kind & kCalledByVariable) return;
  if (kind & kVariable) {
    release_variable(static_cast<Variable*>(const_cast<void*>(from)));
  } else if ((kind & kBlock) == kBlock) {
    _Block_release(from);
  } else {
    [(id)from release];
  }
}
}
