# What every target has in common.
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_OBJCXX_STANDARD 17)
set(CMAKE_OBJCXX_STANDARD_REQUIRED ON)
set(CMAKE_OBJCXX_EXTENSIONS OFF)

# Several plugins live in one process: only what is marked for export may be visible.
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_OBJCXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)  # for clang-tidy and editors

# Asserts stay on: they are cheap beside a kernel launch, and a bug report with one is worth ten without. Line tables only
# (-g1): full debug information of Paddle's headers makes objects several times larger.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")
set(CMAKE_OBJCXX_FLAGS_RELWITHDEBINFO "-O2 -g1")

# -Werror=switch: switches over our tables have no default, so a new row that is not handled everywhere is an error.
add_compile_options(-Wall -Wextra -Wshadow -Werror=switch)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)  # GCC 12 takes what SmallVector copies as bytes for never written
endif()
# Paddle's errors name the file that raised them: in the project, not on the machine that built it.
add_compile_options(-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 11)
  message(FATAL_ERROR "[build] g++ is too old: expected 11 or newer, got ${CMAKE_CXX_COMPILER_VERSION}. "
                      "Install a newer one and set CXX=g++-12, say.")
endif()
