# cmake -DSCRIPTS=... -DWEB=FOLDER -DCHART=FILE -DOUTPUT=FILE -P embed.cmake
#
# Writes a C++ file that holds the page's parts as bytes, and for what the page runs the hashes by
# which its Content-Security-Policy names it. Nothing else in a page can then run.
cmake_minimum_required(VERSION 3.25)

set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

# 64 hexadecimal digits as base64: three of them are two letters.
function(base64_of_hash variable digits)
  set(text "")
  foreach(start RANGE 0 60 3)
    string(SUBSTRING ${digits} ${start} 3 three)
    math(EXPR bits "0x${three}")
    math(EXPR first "${bits} / 64")
    math(EXPR second "${bits} % 64")
    string(SUBSTRING ${alphabet} ${first} 1 first)
    string(SUBSTRING ${alphabet} ${second} 1 second)
    string(APPEND text ${first}${second})
  endforeach()
  string(SUBSTRING ${digits} 63 1 last)
  math(EXPR last "0x${last} * 4")
  string(SUBSTRING ${alphabet} ${last} 1 last)
  set(${variable} "${text}${last}=" PARENT_SCOPE)
endfunction()

# embed(<name> <file> [HASHED]): appends the array k<name> to OUTPUT.
function(embed name file)
  file(READ ${file} hex HEX)
  # A script that holds its own end would end early.
  if("HASHED" IN_LIST ARGN)
    foreach(end "</script" "</style" "<!--")
      string(HEX "${end}" needle)
      string(FIND ${hex} ${needle} at)
      if(NOT at EQUAL -1)
        message(FATAL_ERROR "embed: ${file} holds '${end}', which would end it inside a page")
      endif()
    endforeach()
  endif()
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes ${hex})
  string(REPEAT "[0-9a-fx,]" 80 line)
  string(REGEX REPLACE "(${line})" "\\1\n" bytes ${bytes})
  file(APPEND ${OUTPUT} "const unsigned char k${name}Bytes[] = {\n${bytes}};\n"
    "const std::string_view k${name}{reinterpret_cast<const char*>(k${name}Bytes),\n"
    "                              sizeof k${name}Bytes};\n")
  if("HASHED" IN_LIST ARGN)
    file(SHA256 ${file} digits)
    base64_of_hash(hash ${digits})
    file(APPEND ${OUTPUT} "const std::string_view k${name}Hash{\"sha256-${hash}\"};\n")
  endif()
endfunction()

get_filename_component(folder ${OUTPUT} DIRECTORY)
set(app ${folder}/app.js)
file(WRITE ${app} "(() => {\n'use strict';\n")
foreach(script IN LISTS SCRIPTS)
  file(READ ${script} text)
  file(APPEND ${app} "${text}")
endforeach()
file(APPEND ${app} "})();\n")

file(WRITE ${OUTPUT} "// Written by embed.cmake.\n#include \"lab/report/assets.h\"\n\n"
  "namespace evenkeel::lab {\n\n")
embed(Template ${WEB}/page.html)
embed(Licence ${WEB}/licence.txt)
embed(Style ${WEB}/style.css HASHED)
embed(Chart ${CHART} HASHED)
embed(App ${app} HASHED)
file(APPEND ${OUTPUT} "\n}  // namespace evenkeel::lab\n")
