# mps::paddle: what a target needs to be compiled against and linked with Paddle. MPS_PADDLE_VERSION: the version found.
file(STRINGS ${PROJECT_SOURCE_DIR}/requirements/paddle.txt line REGEX "^paddlepaddle==")
string(REGEX REPLACE "^paddlepaddle==([0-9.]+).*" "\\1" MPS_PADDLE_WANTED "${line}")

set(MPS_PADDLE_DIR "${PADDLE_DIR}")
if(NOT MPS_PADDLE_DIR)
  mps_find_python_package(paddle MPS_PADDLE_DIR)
endif()
set(MPS_PADDLE_VERSION "")
if(EXISTS "${MPS_PADDLE_DIR}/version/__init__.py")
  file(STRINGS "${MPS_PADDLE_DIR}/version/__init__.py" line REGEX "^full_version[ ]*=" LIMIT_COUNT 1)
  string(REGEX REPLACE "^[^'\"]*['\"]([^'\"]*)['\"].*" "\\1" MPS_PADDLE_VERSION "${line}")
endif()

if(MPS_BUILD_PLUGIN)
  if(NOT EXISTS "${MPS_PADDLE_DIR}/include/paddle/phi/backends/device_ext.h")
    message(FATAL_ERROR "[build] Paddle is missing: expected its headers in '${MPS_PADDLE_DIR}/include' of ${Python_EXECUTABLE}. "
                        "Install paddlepaddle==${MPS_PADDLE_WANTED} there, or set -DPADDLE_DIR=.../site-packages/paddle.")
  endif()
  # A warning is not enough: against other headers everything compiles, loads and corrupts.
  if(NOT MPS_PADDLE_VERSION STREQUAL MPS_PADDLE_WANTED AND NOT MPS_ANY_PADDLE)
    message(FATAL_ERROR "[build] wrong Paddle: expected ${MPS_PADDLE_WANTED}, got '${MPS_PADDLE_VERSION}' in ${MPS_PADDLE_DIR}. "
                        "Install that version, or try your luck with -DMPS_ANY_PADDLE=ON.")
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    "${MPS_PADDLE_DIR}/version/__init__.py" ${PROJECT_SOURCE_DIR}/requirements/paddle.txt
    ${PROJECT_SOURCE_DIR}/VERSION)
  message(STATUS "Paddle ${MPS_PADDLE_VERSION} in ${MPS_PADDLE_DIR}")

  set(libs ${MPS_PADDLE_DIR}/libs)
  set(end ${CMAKE_SHARED_LIBRARY_SUFFIX})
  add_library(mps_paddle INTERFACE)
  add_library(mps::paddle ALIAS mps_paddle)
  target_include_directories(mps_paddle SYSTEM INTERFACE ${MPS_PADDLE_DIR}/include ${MPS_PADDLE_DIR}/include/third_party)
  # Without these two the layouts of Paddle's classes differ from those in its libraries.
  target_compile_definitions(mps_paddle INTERFACE PADDLE_WITH_CUSTOM_DEVICE PADDLE_WITH_CUSTOM_KERNEL)
  target_link_libraries(mps_paddle INTERFACE ${libs}/libphi_core${end} ${libs}/libcommon${end} ${libs}/libphi${end})
endif()
