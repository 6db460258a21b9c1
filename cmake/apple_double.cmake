# mps_apple_sdk: what Objective-C++ needs on Linux, for plugin/metal and its test double (tests/apple_double).
#
# Debian's clang-19 and GNUstep's Foundation (libgnustep-base-dev); headers of Metal, MPS and MPSGraph are written by
# tools/macos_sdk.
find_program(MPS_OBJCXX NAMES clang++-19 clang++-20 clang++ DOC "A clang that compiles Objective-C++")
find_program(gnustep_config gnustep-config)
if(NOT MPS_OBJCXX OR NOT gnustep_config)
  message(FATAL_ERROR "[build] MPS_APPLE_DOUBLE=ON needs Objective-C++: expected clang++-19 and gnustep-config, got "
                      "'${MPS_OBJCXX}' and '${gnustep_config}'. Install them (Debian: apt-get install clang-19 "
                      "libgnustep-base-dev).")
endif()
set(CMAKE_OBJCXX_COMPILER ${MPS_OBJCXX})
enable_language(OBJCXX)
# One variable for all languages, which clang's has just set: GCC would look for its own in vain, and read Paddle's
# headers anew for every kernel.
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  set(CMAKE_PCH_EXTENSION .gch)
endif()

# Only where headers are; the rest of its words is for gcc.
execute_process(COMMAND ${gnustep_config} --objc-flags OUTPUT_VARIABLE words OUTPUT_STRIP_TRAILING_WHITESPACE)
separate_arguments(words UNIX_COMMAND "${words}")
list(FILTER words INCLUDE REGEX "^-[ID]")
list(FILTER words EXCLUDE REGEX "NATIVE_OBJC|^-I\\.$")
# The headers and the library of gcc's Objective-C run time. After clang's own, since the folder holds gcc's as well.
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=include OUTPUT_VARIABLE gcc_include
                OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT EXISTS ${gcc_include}/objc/objc.h)
  message(FATAL_ERROR "[build] gcc's Objective-C headers are missing: expected objc/objc.h in ${gcc_include}. Install them "
                      "(Debian: apt-get install libobjc-12-dev, or the one of your ${CMAKE_CXX_COMPILER}).")
endif()

set(sdk ${PROJECT_BINARY_DIR}/apple_sdk)
file(GLOB sdk_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/macos_sdk/*.py ${PROJECT_SOURCE_DIR}/tools/macos_sdk/used.txt
     ${PROJECT_SOURCE_DIR}/tools/macos_sdk/api/*.json)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sdk_sources})
if(NOT Python_EXECUTABLE)
  find_package(Python REQUIRED COMPONENTS Interpreter)
endif()
execute_process(COMMAND ${Python_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/macos_sdk/generate.py --out ${sdk}
                        --foundation gnustep COMMAND_ERROR_IS_FATAL ANY)

add_library(mps_apple_sdk INTERFACE)
# System headers, so that what GNUstep's warn about is not ours. <objc/blocks_runtime.h> is what clang asks for.
target_include_directories(mps_apple_sdk SYSTEM INTERFACE
  ${sdk}/include ${PROJECT_SOURCE_DIR}/tests/apple_double/shim)
target_compile_options(mps_apple_sdk INTERFACE $<$<COMPILE_LANGUAGE:OBJCXX>:${words} -idirafter ${gcc_include}
  -fobjc-runtime=gcc -fconstant-string-class=NSConstantString -fblocks -fno-objc-exceptions -fexceptions -Werror>)
execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=libobjc.so OUTPUT_VARIABLE libobjc
                OUTPUT_STRIP_TRAILING_WHITESPACE)
target_link_libraries(mps_apple_sdk INTERFACE gnustep-base ${libobjc})

# Tests on the double: once for each release of macOS that changes something, under the label "double" (make test-double).
# In words: name of the tests, the program, then more variables.
function(mps_add_releases name target)
  foreach(release 12.0 13.3 14.0 15.0 26.0)
    add_test(NAME ${name}_${release} COMMAND ${target} --gtest_brief=1)
    set(folder ${PROJECT_BINARY_DIR}/graphs/${name}-${release})  # no two programs share what they keep
    set_tests_properties(${name}_${release} PROPERTIES LABELS double TIMEOUT 300 ENVIRONMENT
      "PADDLE_MPS_DOUBLE_OS=${release};PADDLE_MPS_GRAPH_FOLDER=${folder};${ARGN}")
  endforeach()
endfunction()
