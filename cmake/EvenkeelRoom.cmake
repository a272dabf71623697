# evenkeel_room(<name> PUBLIC <targets...> [PRIVATE EXTERNAL <packages...>])
#
# One library per room: src/<name>/**.cpp becomes evenkeel_<name>, alias evenkeel::<name>. A room links
# the rooms below it by target; packages from outside are linked PRIVATE, so that no public header can
# include them by accident.

include(EvenkeelPackages)

# evenkeel_compile_options(<target>): warnings and floating-point rules of the whole project.
function(evenkeel_compile_options target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
    # GCC 12 sees overlapping copies in assignments of string literals (its bug 105651).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    # Multiplies and adds are fused only where the source says so: the same bits everywhere.
    -ffp-contract=off)
  if(EVENKEEL_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
endfunction()

function(evenkeel_room name)
  cmake_parse_arguments(ROOM "" "" "PUBLIC;PRIVATE;EXTERNAL" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  set(target evenkeel_${name})
  add_library(${target} ${sources})
  add_library(evenkeel::${name} ALIAS ${target})
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
    PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PUBLIC ${ROOM_PUBLIC})
  foreach(package IN LISTS ROOM_EXTERNAL)
    evenkeel_link_package(${target} ${package})
  endforeach()
  evenkeel_compile_options(${target})
endfunction()
