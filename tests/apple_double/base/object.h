// How the double's classes keep their state, and how long their objects live.
//
// The classes of the generated headers have no instance variables, and this runtime allows none to be added. So state
// is a C++ struct behind the object's own memory:
//
//   struct HeapState { size_t size = 0; };
//   @implementation DoubleHeap
//   APPLE_DOUBLE_STATE(HeapState)
//   - (NSUInteger)size { return state<HeapState>(self).size; }
//
// Objects are counted by class. One that is deallocated becomes a zombie for a while: a message to it is a violation
// that names its class, where on a Mac it would be a crash, or nothing.
#pragma once

#include <Block.h>
#import <Foundation/Foundation.h>
#include <objc/runtime.h>

#include <new>
#include <string>
#include <type_traits>
#include <utility>

#include "tests/apple_double/base/violation.h"

namespace apple_double {

template <class State>
State& state(id object) {
  return *static_cast<State*>(object_getIndexedIvars(object));
}

void born(Class type);
void retire(id object);  // instead of NSObject's dealloc

// "MTLBuffer" for DoubleBuffer, which nobody else has heard of.
std::string public_name(Class type);
inline std::string public_name(id object) { return object == nil ? "nil" : public_name(object_getClass(object)); }

// Texts in sentences.
std::string text(NSString* string);

// A function of the type that a selector asks for, as the runtime wants it.
template <typename Function>
IMP implementation(Function* function) {
  return reinterpret_cast<IMP>(reinterpret_cast<void*>(function));
}

// Makes the pretended macOS effective: newer selectors and classes stop working (availability.mm), autoreleasing
// without a pool is noticed (pools.mm). Called by whatever a program must call first.
void install();

// An object that this one keeps alive.
template <class T>
class Kept {
 public:
  Kept() = default;
  Kept(T object) : object_([object retain]) {}  // NOLINT: objects convert
  Kept(const Kept& other) : Kept(other.object_) {}
  Kept(Kept&& other) noexcept : object_(std::exchange(other.object_, nil)) {}
  Kept& operator=(Kept other) {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Kept() { [object_ release]; }
  static Kept adopt(T object) {
    Kept kept;
    kept.object_ = object;
    return kept;
  }

  T get() const { return object_; }
  operator T() const { return object_; }  // NOLINT: may be used as one

 private:
  T object_ = nil;
};

// What a getter returns: an object is the caller's as long as a pool says, as on a Mac, where the getter cannot know
// who else lets go of it.
template <typename T>
T given(T value) {
  if constexpr (std::is_convertible_v<T, id>) {
    return [[(id)value retain] autorelease];
  } else {
    return value;
  }
}

// A block that this one keeps.
template <class T>
class KeptBlock {
 public:
  KeptBlock() = default;
  KeptBlock(T block) : block_(block ? Block_copy(block) : block) {}  // NOLINT: blocks convert
  KeptBlock(const KeptBlock& other) : KeptBlock(other.block_) {}
  KeptBlock(KeptBlock&& other) noexcept : block_(std::exchange(other.block_, nil)) {}
  KeptBlock& operator=(KeptBlock other) {
    std::swap(block_, other.block_);
    return *this;
  }
  ~KeptBlock() {
    if (block_) Block_release(block_);
  }
  T get() const { return block_; }

 private:
  T block_ = nil;
};

}  // namespace apple_double

#define APPLE_DOUBLE_STATE(State)                          \
  +(instancetype)allocWithZone : (NSZone*)zone {           \
    id made = NSAllocateObject(self, sizeof(State), zone); \
    new (object_getIndexedIvars(made)) State();            \
    ::apple_double::born(self);                            \
    return made;                                           \
  }                                                        \
  -(void)dealloc {                                         \
    ::apple_double::state<State>(self).~State();           \
    ::apple_double::retire(self);                          \
  }

// A property that is a field of the state with the same name. Objects are kept; strings, which are copied, as well:
// those of the program under test are constants.
#define APPLE_DOUBLE_READONLY(State, type, name)                                 \
  -(type)name {                                                                  \
    return ::apple_double::given<type>(::apple_double::state<State>(self).name); \
  }
#define APPLE_DOUBLE_PROPERTY(State, type, name, setter) \
  APPLE_DOUBLE_READONLY(State, type, name)               \
  -(void)setter : (type)value {                          \
    ::apple_double::state<State>(self).name = value;     \
  }
