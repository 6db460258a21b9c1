// Objective-C++ that is compiled for the GNU runtime names that runtime's personality in its exception tables, which
// ends the program at a C++ exception. This one, visible in this library alone, hands over to C++: throwing through
// Objective-C frames and catching in them then works as it does on a Mac.
#include <unwind.h>

extern "C" {

_Unwind_Reason_Code __gxx_personality_v0(int, _Unwind_Action, _Unwind_Exception_Class, _Unwind_Exception*,
                                         _Unwind_Context*);

__attribute__((visibility("hidden"))) _Unwind_Reason_Code __gnu_objc_personality_v0(int version, _Unwind_Action actions,
                                                                                    _Unwind_Exception_Class kind,
                                                                                    _Unwind_Exception* exception,
                                                                                    _Unwind_Context* context) {
  return __gxx_personality_v0(version, actions, kind, exception, context);
}
}
