# Writes OUTPUT, for ctest: one test for each suite of PROGRAM that FILTER lets through. A script; see
# tests_of.cmake.
execute_process(COMMAND ${PROGRAM} --gtest_list_tests "--gtest_filter=${FILTER}"
  OUTPUT_VARIABLE listed RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${PROGRAM} does not list its tests: ${failed}\n${listed}")
endif()

# A suite's line begins the list of its cases, which are indented.
string(REPLACE ";" "," listed "${listed}")
string(REPLACE "\n" ";" lines "${listed}")
set(text "")
foreach(line IN LISTS lines)
  if(line MATCHES "^([^ ]+)\\.( |$)")
    set(suite "${CMAKE_MATCH_1}")
    string(APPEND text "add_test([==[${PREFIX}${suite}]==] [==[${PROGRAM}]==] "
      "[==[--gtest_filter=${suite}.*]==])\n"
      "set_tests_properties([==[${PREFIX}${suite}]==] PROPERTIES ")
    foreach(word IN LISTS PROPERTIES)
      string(APPEND text " [==[${word}]==]")
    endforeach()
    string(APPEND text ")\n")
  endif()
endforeach()
file(WRITE ${OUTPUT} "${text}")
