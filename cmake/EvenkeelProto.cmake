# evenkeel_compile_protos(<target> <files...>): what protoc makes of each, for the target's own
# sources to include as "<name>.pb.h".
function(evenkeel_compile_protos target)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/proto/${target})
  file(MAKE_DIRECTORY ${folder})
  if(NOT TARGET protobuf::protoc)
    find_package(Protobuf REQUIRED)
  endif()
  if(NOT TARGET protobuf::protoc)
    message(FATAL_ERROR "evenkeel: protoc was not found (Debian: protobuf-compiler)")
  endif()
  foreach(file IN LISTS ARGN)
    cmake_path(GET file STEM name)
    cmake_path(GET file PARENT_PATH from)
    add_custom_command(OUTPUT ${folder}/${name}.pb.cc ${folder}/${name}.pb.h
      COMMAND protobuf::protoc --proto_path=${from} --cpp_out=${folder} ${file}
      DEPENDS ${file} VERBATIM
      COMMENT "Compiling ${name}.proto")
    target_sources(${target} PRIVATE ${folder}/${name}.pb.cc)
    # Not our code, so not our warnings.
    set_source_files_properties(${folder}/${name}.pb.cc PROPERTIES COMPILE_OPTIONS -w)
  endforeach()
  target_include_directories(${target} SYSTEM PRIVATE ${folder})
endfunction()
