// Ownership of Objective-C objects, right with ARC (macOS) and without (Linux, the test double): everything that is
// kept is in a Ref, and everything that sends messages runs in a pool.
//
//   const Ref<id<MTLBuffer>> buffer = adopt([device newBufferWithLength:16 options:0]);  // new, alloc, copy
//   const Ref<MPSCommandBuffer*> commands = retain([MPSCommandBuffer commandBufferFromCommandQueue:queue]);  // all
//   else
#pragma once

#import <Foundation/Foundation.h>

#include <string>
#include <utility>

#if __has_feature(objc_arc)
extern "C" void* objc_autoreleasePoolPush(void);
extern "C" void objc_autoreleasePoolPop(void* pool);
#endif

namespace mps {

#if __has_feature(objc_arc)

template <class T>
class Ref {
 public:
  Ref() = default;
  static Ref adopt(T object) { return Ref(object); }
  static Ref retain(T object) { return Ref(object); }
  T get() const { return object_; }
  explicit operator bool() const { return object_ != nil; }
  // Never releases it: in a child of fork() everything of Metal belongs to the parent.
  void leak() { static_cast<void>((__bridge_retained void*)object_); }

 private:
  explicit Ref(T object) : object_(object) {}
  T object_ = nil;
};

class AutoreleasePool {
 public:
  AutoreleasePool() : pool_(objc_autoreleasePoolPush()) {}
  ~AutoreleasePool() { objc_autoreleasePoolPop(pool_); }
  AutoreleasePool(const AutoreleasePool&) = delete;
  AutoreleasePool& operator=(const AutoreleasePool&) = delete;

 private:
  void* const pool_;
};

#else

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(const Ref& other) : object_(other.object_) { [(id)object_ retain]; }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nil)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() { [(id)object_ release]; }
  // Takes over the reference that new, alloc, copy and mutableCopy give.
  static Ref adopt(T object) { return Ref(object); }
  // Of what any other method gives.
  static Ref retain(T object) { return Ref([(id)object retain]); }
  T get() const { return object_; }
  explicit operator bool() const { return object_ != nil; }
  void leak() { object_ = nil; }

 private:
  explicit Ref(T object) : object_(object) {}
  T object_ = nil;
};

class AutoreleasePool {
 public:
  AutoreleasePool() : pool_([[NSAutoreleasePool alloc] init]) {}
  ~AutoreleasePool() { [pool_ release]; }
  AutoreleasePool(const AutoreleasePool&) = delete;
  AutoreleasePool& operator=(const AutoreleasePool&) = delete;

 private:
  NSAutoreleasePool* const pool_;
};

#endif

template <class T>
Ref<T> adopt(T object) {
  return Ref<T>::adopt(object);
}
template <class T>
Ref<T> retain(T object) {
  return Ref<T>::retain(object);
}

// What new, alloc and copy give, handed to the pool of the caller.
template <class T>
T autorelease(T object) {
#if __has_feature(objc_arc)
  return object;
#else
  return static_cast<T>([(id)object autorelease]);
#endif
}

// A pool for the rest of the block. Unlike @autoreleasepool it is drained when an exception leaves the block, too. A
// function with one returns a Ref or no object at all.
#define MPS_POOL \
  const ::mps::AutoreleasePool mps_pool {}

inline std::string text_of(NSString* string) {
  const char* const text = [string UTF8String];
  return text == nullptr ? std::string() : std::string(text);
}
inline NSString* ns_string(const char* text) { return [NSString stringWithUTF8String:text]; }  // in UTF-8

}  // namespace mps
