#!/bin/sh
# Usage: includes.sh ROOT
# Fails, naming file and line, where a room includes a room that stands above or beside it, or where
# a package from outside is included outside the room that wraps it. The table is that of
# docs/architecture.md.
set -eu
cd "$1"

folders=""
for folder in include src apps examples lab bench; do
  if [ -d "$folder" ]; then folders="$folders $folder"; fi
done

# shellcheck disable=SC2086  # a list of words
grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' $folders | LC_ALL=C sort | awk '
  function allow(room, rooms) { table[room] = " " room " " rooms " " }
  function fault(text) {
    printf "%s:%s: %s\n", file, line, text
    faults++
  }
  BEGIN {
    allow("core", "")
    allow("norm", "core")
    allow("ops", "core")
    allow("io", "core")
    allow("dist", "core")
    allow("nn", "norm ops dist core")
    allow("optim", "nn core")
    allow("data", "io core")
    allow("model", "nn io core")
    allow("train", "model nn optim data io dist core")
    allow("deploy", "model nn data io core")
  }
  {
    split($0, part, ":")
    file = part[1]
    line = part[2]
    match($0, /[<"][^>"]*/)
    quoted = substr($0, RSTART, 1) == "\""
    name = substr($0, RSTART + 1, RLENGTH - 1)
    checked++

    room = ""
    depth = split(file, folder, "/")
    if (folder[1] == "src" && depth > 2) room = folder[2]
    if (folder[1] == "include" && depth > 3) room = folder[3]
    target = ""
    if (name ~ /^evenkeel\/[^\/]+\//) {
      split(name, step, "/")
      target = step[2]
    } else if (quoted && name ~ /^[^\/.]+\//) {
      split(name, step, "/")
      target = step[1]
    }
    if (room != "" && !(room in table)) fault("the room " room " has no row in the table")
    if (room != "" && target != "" && index(table[room], " " target " ") == 0) {
      fault("the room " room " may not include " name)
    }

    if (name ~ /^hwy\// && file !~ /^src\/norm\//) fault(name " belongs into src/norm alone")
    # Benchmarks measure oneDNN itself.
    if (name ~ /dnnl/ && file !~ /^(src\/ops|bench)\//) fault(name " belongs into src/ops alone")
    if (name ~ /^toml\+\+/ && file !~ /^src\/model\//) fault(name " belongs into src/model alone")
    if (name ~ /^google\/|\.pb\.h$/ && file !~ /^src\/deploy\//) {
      fault(name " belongs into src/deploy alone")
    }
    if (file ~ /^include\// && name ~ /^(nlohmann\/|zlib|zconf|png|CLI\/|hwy\/|toml)/) {
      fault(name " may not be included by a public header")
    }
  }
  END {
    if (checked == 0) {
      print "no includes found: is this the root of the sources?"
      exit 1
    }
    if (faults > 0) exit 1
    printf "%d includes, each allowed\n", checked
  }
'
