# Toolchain file: arm64 macOS from Linux, with the clang and the linker of zig. tools/macos_wheel passes MPS_ZIG (the
# program) and MPS_MACOS_SDK (what tools/macos_sdk writes: include/ and lib/).
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MPS_ZIG MPS_MACOS_SDK)
set(rules "${MPS_CROSS_RULES}")  # not used, but passed: see tools/macos_wheel/build.py
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/../MACOS_TARGET oldest LIMIT_COUNT 1)

set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR arm64)
# zig takes the oldest macOS from the target, so CMake need not repeat it; nor look for Apple's SDK and tools.
set(CMAKE_CXX_COMPILER ${MPS_ZIG} c++ -target aarch64-macos.${oldest})
set(CMAKE_OBJCXX_COMPILER ${CMAKE_CXX_COMPILER})
set(CMAKE_AR ${MPS_ZIG} CACHE FILEPATH "")
set(CMAKE_CXX_OSX_DEPLOYMENT_TARGET_FLAG "")
set(CMAKE_OBJCXX_OSX_DEPLOYMENT_TARGET_FLAG "")
set(CMAKE_OSX_SYSROOT "" CACHE STRING "")
set(CMAKE_OSX_ARCHITECTURES "" CACHE STRING "")
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_INSTALL_NAME_TOOL "${CMAKE_COMMAND};-E;true")
# CMake would find these out by linking a program, for which zig compiles a whole C++ library: a minute.
# (It leaves an a.o behind.)
execute_process(COMMAND ${CMAKE_CXX_COMPILER} --version WORKING_DIRECTORY ${CMAKE_BINARY_DIR} OUTPUT_VARIABLE words)
string(REGEX MATCH "clang version ([0-9.]+)" _ "${words}")
foreach(language CXX OBJCXX)
  set(CMAKE_${language}_COMPILER_ID_RUN TRUE)
  set(CMAKE_${language}_COMPILER_ID Clang)
  set(CMAKE_${language}_COMPILER_VERSION ${CMAKE_MATCH_1})
  set(CMAKE_${language}_COMPILER_FRONTEND_VARIANT GNU)
  set(CMAKE_${language}_STANDARD_COMPUTED_DEFAULT 17)
  set(CMAKE_${language}_EXTENSIONS_COMPUTED_DEFAULT ON)
  set(CMAKE_${language}_COMPILER_WORKS TRUE)
  set(CMAKE_${language}_ARCHIVE_CREATE "<CMAKE_AR> ar rcs <TARGET> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_APPEND "<CMAKE_AR> ar rs <TARGET> <OBJECTS>")
  set(CMAKE_${language}_ARCHIVE_FINISH "")
endforeach()
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)

# The C++ library is the system's, which Paddle uses too: two of them in one process would not know each other's
# exceptions and locales. zig assumes its own, newest one; the macro makes the headers leave out what macOS ${oldest} lacks.
# zig also switches asserts off with optimisation.
#
# _LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS would hide the library's own templates, with -fvisibility=hidden. Code then takes the
# addresses of their vtables directly, while zig's linker takes the vtables from the system's library, where only a pointer
# leads: std::ostringstream got a vtable in the middle of the Mach-O header, and every message would have been a crash.
# tests/macos/library.py looks for such addresses.
set(flags "-U_LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS -U_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS -D_LIBCPP_HAS_VENDOR_AVAILABILITY_ANNOTATIONS=1 -UNDEBUG")
# Warnings are errors here. A call that needs a newer macOS must stand under @available.
string(APPEND flags " -Werror -Wunguarded-availability -Wundeclared-selector -Wstrict-selector-match -Wnullable-to-nonnull-conversion")
string(APPEND flags " -I${MPS_MACOS_SDK}/include -fno-sanitize=undefined")
# No folder of this machine in what users get: not in messages (__FILE__), not as the place of debug information (-S).
string(APPEND flags " -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
set(CMAKE_CXX_FLAGS_INIT "${flags}")
set(CMAKE_OBJCXX_FLAGS_INIT "${flags} -fobjc-arc")
set(stubs ${MPS_MACOS_SDK}/lib)
foreach(kind SHARED MODULE EXE)
  set(CMAKE_${kind}_LINKER_FLAGS_INIT "-nostdlib++ -Wl,-S -F${stubs}")
endforeach()
foreach(language CXX OBJCXX)
  set(CMAKE_${language}_STANDARD_LIBRARIES_INIT "${stubs}/libcxx.tbd ${stubs}/libobjc.tbd")
endforeach()

set(CMAKE_USER_MAKE_RULES_OVERRIDE ${CMAKE_CURRENT_LIST_DIR}/macos_cross_rules.cmake)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
