# GTest::gtest and GTest::gtest_main, for the C++ tests and for the exam that the package carries. An installed GoogleTest is
# used where there is one; else, and for another machine than this one, it is compiled from its sources.
set(MPS_GTEST_SOURCE "" CACHE PATH "Folder of GoogleTest's sources, with src/gtest-all.cc; empty: looked for")

if(NOT CMAKE_CROSSCOMPILING)
  find_package(GTest QUIET)
endif()
if(NOT TARGET GTest::gtest)
  set(gtest_source "${MPS_GTEST_SOURCE}")
  foreach(folder $ENV{MPS_GTEST_SOURCE} /usr/src/googletest/googletest /usr/src/gtest)  # the last two: Debian's
    if(NOT gtest_source AND EXISTS ${folder}/src/gtest-all.cc)
      set(gtest_source ${folder})
    endif()
  endforeach()
  if(gtest_source)
    message(STATUS "GoogleTest is compiled from ${gtest_source}")
    add_library(mps_gtest STATIC EXCLUDE_FROM_ALL ${gtest_source}/src/gtest-all.cc)
    add_library(mps_gtest_main STATIC EXCLUDE_FROM_ALL ${gtest_source}/src/gtest_main.cc)
    target_include_directories(mps_gtest SYSTEM PUBLIC ${gtest_source}/include PRIVATE ${gtest_source})
    # Wide strings: what of the C++ library deals with them is not among what the cross build can link against.
    target_compile_definitions(mps_gtest PUBLIC GTEST_HAS_STD_WSTRING=0)
    target_compile_options(mps_gtest PRIVATE -w)  # its warnings are not ours
    target_link_libraries(mps_gtest PUBLIC Threads::Threads)
    target_link_libraries(mps_gtest_main PUBLIC mps_gtest)
    add_library(GTest::gtest ALIAS mps_gtest)
    add_library(GTest::gtest_main ALIAS mps_gtest_main)
  endif()
endif()
