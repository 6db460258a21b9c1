#include "tests/apple_double/base/object.h"

#include <deque>
#include <map>
#include <mutex>

#include "tests/apple_double/double.h"

// Has no method but those that the runtime itself sends.
__attribute__((objc_root_class))
@interface AppleDoubleZombie {
  Class isa;
}
@end

@implementation AppleDoubleZombie
+ (void)initialize {
}
+ (BOOL)resolveInstanceMethod:(SEL)selector {
  apple_double::violation("-" + std::string(sel_getName(selector)) + " was sent to a deallocated " +
                          std::string(class_getName((Class)self) + sizeof "Zombie " - 1) +
                          ": it was released once too often, or used after its release.");
}
@end

namespace apple_double {
namespace {

// Deallocated objects whose memory is kept, so that their class can be told.
constexpr size_t kZombies = 4096;

struct Census {
  std::mutex mutex;
  std::map<Class, int64_t> alive;
  std::map<Class, Class> zombies;
  std::deque<std::pair<id, Class>> dead;
};

Census& census() {
  static auto* const one = new Census;
  return *one;
}

Class zombie_of(Class type) {
  Class& zombie = census().zombies[type];
  if (zombie == Nil) {
    const std::string name = "Zombie " + public_name(type);
    zombie = objc_allocateClassPair(objc_getClass("AppleDoubleZombie"), name.c_str(), 0);
    require(zombie != Nil, "the double cannot make the class '", name, "'.");
    objc_registerClassPair(zombie);
  }
  return zombie;
}

}  // namespace

std::string public_name(Class type) {
  static const std::pair<const char*, const char*> prefixes[] = {{"DoubleOS", "OS_"}, {"Double", "MTL"}};
  const std::string name = class_getName(type);
  for (const auto& [ours, theirs] : prefixes) {
    if (name.rfind(ours, 0) == 0) return theirs + name.substr(std::string(ours).size());
  }
  return name;
}

std::string text(NSString* string) { return string == nil ? "" : [string UTF8String]; }

void born(Class type) {
  const std::lock_guard<std::mutex> lock(census().mutex);
  ++census().alive[type];
}

void retire(id object) {
  std::pair<id, Class> oldest{nil, Nil};
  {
    const std::lock_guard<std::mutex> lock(census().mutex);
    const Class type = object_getClass(object);
    if (--census().alive[type] == 0) census().alive.erase(type);
    object_setClass(object, zombie_of(type));
    census().dead.emplace_back(object, type);
    if (census().dead.size() > kZombies) {
      oldest = census().dead.front();
      census().dead.pop_front();
    }
  }
  if (oldest.first != nil) {
    object_setClass(oldest.first, oldest.second);
    NSDeallocateObject(oldest.first);
  }
}

std::map<std::string, int64_t> live_objects() {
  const std::lock_guard<std::mutex> lock(census().mutex);
  std::map<std::string, int64_t> counts;
  for (const auto& [type, count] : census().alive) counts[public_name(type)] += count;
  return counts;
}

}  // namespace apple_double
