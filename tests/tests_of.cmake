# How the tests of a program become tests of ctest.

# case: every TEST is one, which is what people want, who name it by -R. suite: every suite is one, so
# that a process starts some 400 times and not 4,000.
set(EVENKEEL_TESTS_BY case CACHE STRING "What ctest takes as one test: a case, or a suite")
set_property(CACHE EVENKEEL_TESTS_BY PROPERTY STRINGS case suite)
include(GoogleTest)

# evenkeel_tests_of(<program> <list> PREFIX <prefix> FILTER <pattern of suites>
#                   PROPERTIES <properties of ctest...>)
#
# The suites of the program that the filter lets through are named <prefix><Suite>[.<Case>]. <list> is
# a name for them that no other call uses.
function(evenkeel_tests_of program list)
  cmake_parse_arguments(TESTS "" "PREFIX;FILTER" "PROPERTIES" ${ARGN})
  if(EVENKEEL_TESTS_BY STREQUAL "case")
    gtest_discover_tests(${program} TEST_LIST ${list} TEST_PREFIX ${TESTS_PREFIX}
      TEST_FILTER "${TESTS_FILTER}" DISCOVERY_TIMEOUT 60 PROPERTIES ${TESTS_PROPERTIES})
    return()
  endif()

  set(suites ${CMAKE_CURRENT_BINARY_DIR}/${list}.cmake)
  add_custom_command(TARGET ${program} POST_BUILD BYPRODUCTS ${suites} VERBATIM
    COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:${program}> -DPREFIX=${TESTS_PREFIX}
            "-DFILTER=${TESTS_FILTER}" "-DPROPERTIES=${TESTS_PROPERTIES}" -DOUTPUT=${suites}
            -P ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/list_suites.cmake)
  # A program that is not built fails, and is not passed over.
  file(WRITE ${suites}.in
    "if(EXISTS \"${suites}\")\n"
    "  include(\"${suites}\")\n"
    "else()\n"
    "  add_test(\"${TESTS_PREFIX}${program}_is_not_built\" false)\n"
    "endif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${suites}.in)
endfunction()
