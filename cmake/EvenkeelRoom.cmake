# The rooms of the house: one library per room.
#
# evenkeel_room(<name> <summary> [USES <rooms...>] [PUBLIC <packages...>] [PRIVATE <packages...>])
#
# Declares that src/<name>/**.cpp (and .proto, by protoc) becomes the library evenkeel_<name>, alias evenkeel::<name>. A room
# links the rooms below it by target; packages from outside are PRIVATE unless a public header needs
# them, so that no public header can include them by accident. Rooms are declared lowest first.
#
# evenkeel_build_rooms(<rooms...>) creates those rooms and all that they use; "all" stands for every one.

include(EvenkeelPackages)
include(EvenkeelProto)

# evenkeel_compile_options(<target>): warnings and floating-point rules of the whole project.
function(evenkeel_compile_options target)
  target_compile_options(${target} PRIVATE
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
    # GCC 12 sees overlapping copies in assignments of string literals (its bug 105651).
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    # Clang vectorizes those loops without the pragmas that GCC is given.
    $<$<CXX_COMPILER_ID:Clang>:-Wno-unknown-pragmas>
    # Multiplies and adds are fused only where the source says so: the same bits everywhere.
    -ffp-contract=off)
  if(EVENKEEL_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
      # GCC loses track of what instrumented code of its own <regex> initializes.
      $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
  if(EVENKEEL_TSAN)
    target_compile_options(${target} PRIVATE -fsanitize=thread -fno-omit-frame-pointer)
    target_link_options(${target} PRIVATE -fsanitize=thread)
    get_target_property(type ${target} TYPE)
    if(type STREQUAL "EXECUTABLE")
      target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/threads/tsan/options.cpp)
    endif()
  endif()
endfunction()

function(evenkeel_room name summary)
  cmake_parse_arguments(ROOM "" "" "USES;PUBLIC;PRIVATE" ${ARGN})
  set_property(GLOBAL APPEND PROPERTY EVENKEEL_DECLARED_ROOMS ${name})
  set_property(GLOBAL PROPERTY EVENKEEL_ROOM_${name}_SUMMARY "${summary}")
  foreach(field USES PUBLIC PRIVATE)
    set_property(GLOBAL PROPERTY EVENKEEL_ROOM_${name}_${field} "${ROOM_${field}}")
  endforeach()
endfunction()

# evenkeel_room_field(<variable> <name> <field>)
function(evenkeel_room_field variable name field)
  get_property(value GLOBAL PROPERTY EVENKEEL_ROOM_${name}_${field})
  set(${variable} "${value}" PARENT_SCOPE)
endfunction()

function(evenkeel_create_room name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp)
  set(target evenkeel_${name})
  add_library(${target} ${sources})
  add_library(evenkeel::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES
    EXPORT_NAME ${name}
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    INSTALL_RPATH $ORIGIN)
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
           $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(${target} PUBLIC cxx_std_20)

  evenkeel_room_field(lower_rooms ${name} USES)
  foreach(lower IN LISTS lower_rooms)
    target_link_libraries(${target} PUBLIC evenkeel::${lower})
  endforeach()
  foreach(visibility PUBLIC PRIVATE)
    evenkeel_room_field(packages ${name} ${visibility})
    foreach(package IN LISTS packages)
      evenkeel_link_package(${target} ${package} ${visibility})
    endforeach()
  endforeach()
  file(GLOB_RECURSE protos CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.proto)
  if(protos)
    evenkeel_compile_protos(${target} ${protos})
  endif()
  evenkeel_compile_options(${target})
endfunction()

# Sets EVENKEEL_BUILT_ROOMS, lowest first, and EVENKEEL_WHOLE_HOUSE for the caller.
function(evenkeel_build_rooms)
  get_property(declared GLOBAL PROPERTY EVENKEEL_DECLARED_ROOMS)
  set(wanted ${ARGN})
  if("all" IN_LIST wanted)
    set(wanted ${declared})
  endif()
  foreach(name IN LISTS wanted)
    if(NOT name IN_LIST declared)
      list(JOIN declared ", " known)
      message(FATAL_ERROR "EVENKEEL_ROOMS: there is no room '${name}'; choose from ${known}, or all")
    endif()
  endforeach()

  # What a room uses stands below it: one pass from the top finds everything.
  set(from_top ${declared})
  list(REVERSE from_top)
  foreach(name IN LISTS from_top)
    if(name IN_LIST wanted)
      evenkeel_room_field(lower_rooms ${name} USES)
      list(APPEND wanted ${lower_rooms})
    endif()
  endforeach()

  set(built)
  foreach(name IN LISTS declared)
    if(name IN_LIST wanted)
      evenkeel_create_room(${name})
      list(APPEND built ${name})
    endif()
  endforeach()

  # What a program links that uses whatever there is.
  add_library(evenkeel_everything INTERFACE)
  add_library(evenkeel::evenkeel ALIAS evenkeel_everything)
  set_target_properties(evenkeel_everything PROPERTIES EXPORT_NAME evenkeel)
  foreach(name IN LISTS built)
    target_link_libraries(evenkeel_everything INTERFACE evenkeel::${name})
  endforeach()

  set(whole FALSE)
  if(built STREQUAL declared)
    set(whole TRUE)
  endif()
  set(EVENKEEL_BUILT_ROOMS ${built} PARENT_SCOPE)
  set(EVENKEEL_WHOLE_HOUSE ${whole} PARENT_SCOPE)
endfunction()
