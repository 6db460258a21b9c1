# Read by CMake after its own rules for Darwin (see macos_cross.cmake). zig's linker knows no bundles: modules are dynamic
# libraries too, which dlopen takes just as well.
foreach(language CXX OBJCXX)
  set(CMAKE_SHARED_MODULE_CREATE_${language}_FLAGS "-dynamiclib")
endforeach()
