// The pretended macOS: what is newer than it is there to be compiled against, but must not be used.
//
// Every newer selector gets another implementation, which ends the program with a sentence, and no longer counts as
// something that its class responds to. Newer classes cannot be allocated and are not found by name.
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <vector>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/base/object.h"
#include "tests/apple_double/base/pools.h"

namespace apple_double {
namespace {

struct Newer {
  const char* type;
  bool is_protocol;
  char sign;
  const char* selector;  // "": the type itself
  int major, minor;
  bool here() const { return !os_at_least(major, minor); }
  std::string since() const { return std::to_string(major) + "." + std::to_string(minor); }
};

constexpr Newer kNewer[] = {
#define APPLE_DOUBLE_NEWER(type, is_protocol, sign, selector, major, minor) \
  {type, is_protocol, sign, selector, major, minor},
#include "availability.inc"
#undef APPLE_DOUBLE_NEWER
};

// By class (or metaclass) and selector: which row forbids it. Written by install() alone.
std::map<std::pair<Class, std::string>, const Newer*>& forbidden() {
  static auto* const map = new std::map<std::pair<Class, std::string>, const Newer*>;
  return *map;
}

const Newer* find(Class type, SEL selector) {
  for (; type != Nil; type = class_getSuperclass(type)) {
    const auto found = forbidden().find({type, sel_getName(selector)});
    if (found != forbidden().end()) return found->second;
  }
  return nullptr;
}

id refuse(id self, SEL selector, ...) {
  const Newer* const row = find(object_getClass(self), selector);
  const bool whole = row != nullptr && *row->selector == '\0';
  const std::string since = row == nullptr ? "a newer macOS" : "macOS " + row->since();
  violation((whole ? "the class " + public_name(self)
                   : std::string(class_isMetaClass(object_getClass(self)) ? "+" : "-") + "[" + public_name(self) + " " +
                         sel_getName(selector) + "]") +
            " is there from " + since + " on, but this is macOS " + os_version().text() +
            ": the use is not guarded (MPS_AVAILABLE), and ends with an unrecognised selector.");
}

// Does any method of NSObject differ? Then it is a mistake of the double, not of the program.
BOOL responds(id self, SEL, SEL asked) {
  const Class type = object_getClass(self);
  return class_respondsToSelector(type, asked) && find(type, asked) == nullptr;
}

BOOL instances_respond(id self, SEL, SEL asked) {
  const Class type = (Class)self;
  return class_respondsToSelector(type, asked) && find(type, asked) == nullptr;
}

void unknown(id self, SEL, SEL asked) {
  const bool is_class = class_isMetaClass(object_getClass(self));
  violation(
      std::string(is_class ? "+" : "-") + "[" + public_name(self) + " " + sel_getName(asked) +
      "]: no such method. Either the receiver is of another class than the program believes, or the double does not "
      "implement the method yet.");
}

// The head of a class in gcc's run time. clang sets a bit in `info` that means something else there: that the class is
// still being made and its methods are not registered.
struct RuntimeClass {
  Class isa, super;
  const char* name;
  long version;
  unsigned long info;
};
constexpr unsigned long kInConstruction = 0x10;

// Of this class alone: class_replaceMethod would change the superclass that has the method.
void override(Class type, SEL selector, IMP function, const char* types) {
  reinterpret_cast<RuntimeClass*>((void*)type)->info &= ~kInConstruction;
  [(id)objc_lookUpClass(class_getName(type)) self];  // has it set up
  if (class_addMethod(type, selector, function, types)) return;
  method_setImplementation(class_getInstanceMethod(type, selector), function);
}

void forbid(Class type, const Newer* row, const char* selector) {
  const SEL sel = sel_registerName(selector);
  const Method method = class_getInstanceMethod(type, sel);
  if (method == nullptr) return;
  const char* const types = method_getTypeEncoding(method);
  if (types != nullptr && *types == '{') return;  // returned through memory: `refuse` would misread its arguments
  forbidden()[{type, selector}] = row;
  override(type, sel, implementation(refuse), types);
}

// A method of protocols may be declared by several of those that a class adopts: the oldest counts.
void forbid_protocol_methods(Class type) {
  std::map<std::string, const Newer*> oldest;
  for (const Newer& row : kNewer) {
    if (!row.is_protocol || row.sign != '-') continue;
    Protocol* const protocol = objc_getProtocol(row.type);
    bool adopted = false;
    for (Class above = type; above != Nil && !adopted && protocol != nil; above = class_getSuperclass(above)) {
      adopted = class_conformsToProtocol(above, protocol);
    }
    if (!adopted) continue;
    const Newer*& known = oldest[row.selector];
    if (known == nullptr || std::make_pair(row.major, row.minor) < std::make_pair(known->major, known->minor)) {
      known = &row;
    }
  }
  for (const auto& [selector, row] : oldest) {
    if (row->here()) forbid(type, row, selector.c_str());
  }
}

bool is_ours(Class type) {
  const std::string name = public_name(type);
  return name.rfind("MTL", 0) == 0 || name.rfind("MPS", 0) == 0;
}

bool is_newer_class(const char* name) {
  for (const Newer& row : kNewer) {
    if (!row.is_protocol && *row.selector == '\0' && std::strcmp(row.type, name) == 0) return row.here();
  }
  return false;
}

// MPSGraphObject was put beneath older classes: those do not need it to be there.
bool has_older_subclass(Class type, const std::vector<Class>& types) {
  for (Class other : types) {
    for (Class above = class_getSuperclass(other); above != Nil; above = class_getSuperclass(above)) {
      if (above == type && !is_newer_class(class_getName(other))) return true;
    }
  }
  return false;
}

void hide_newer() {
  std::vector<Class> types(static_cast<size_t>(objc_getClassList(nullptr, 0)));
  objc_getClassList(types.data(), static_cast<int>(types.size()));
  for (Class type : types) {
    if (is_ours(type)) forbid_protocol_methods(type);
  }
  for (const Newer& row : kNewer) {
    const Class type = row.is_protocol ? Nil : (Class)objc_lookUpClass(row.type);
    if (type == Nil || !row.here()) continue;
    if (*row.selector != '\0') {
      forbid(row.sign == '+' ? object_getClass((id)type) : type, &row, row.selector);
      continue;
    }
    if (has_older_subclass(type, types)) continue;
    for (const char* selector : {"alloc", "new", "allocWithZone:"}) forbid(object_getClass((id)type), &row, selector);
  }
}

template <typename Function>
void replace(Class type, const char* selector, Function* function) {
  const SEL sel = sel_registerName(selector);
  const Method method = class_getInstanceMethod(type, sel);
  require(method != nullptr, "GNUstep has no ", class_getName(type), " ", selector, ".");
  override(type, sel, implementation(function), method_getTypeEncoding(method));
}

NSString* os_version_string(id, SEL) {
  return [NSString stringWithFormat:@"Version %s (Build double)", os_version().text().c_str()];
}

}  // namespace

void install() {
  static std::once_flag once;
  std::call_once(once, [] {
    @autoreleasepool {
      const Class object = [NSObject class];
      replace(object, "respondsToSelector:", responds);
      replace(object_getClass((id)object), "instancesRespondToSelector:", instances_respond);
      replace(object, "doesNotRecognizeSelector:", unknown);
      replace([NSProcessInfo class], "operatingSystemVersionString", os_version_string);
      hide_newer();
    }
    install_pool_checks();
  });
}

}  // namespace apple_double

// In place of GNUstep's, for the program under test: a class that this macOS lacks is not found.
extern "C" Class NSClassFromString(NSString* name) {
  apple_double::install();
  const char* const text = [name UTF8String];
  return apple_double::is_newer_class(text) ? Nil : (Class)objc_lookUpClass(text);
}
