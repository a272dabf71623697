#!/usr/bin/env bash
# install.sh: puts the peers in Python (requirements.txt) into build/peers/venv, once; 5 GB.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=build/peers/venv
stamp=$folder/installed.txt
if cmp -s bench/peers/requirements.txt "$stamp"; then
  exit 0
fi
echo "peers: installing PyTorch and what it needs into $folder (5 GB)" >&2
python=${EVENKEEL_PYTHON:-python3}
if ! "$python" -m venv "$folder"; then
  echo "peers: $python cannot make a virtual environment; install python3-venv, or name another in EVENKEEL_PYTHON" >&2
  exit 1
fi
"$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps -r bench/peers/requirements.txt
"$folder/bin/python" -c 'import torch, numpy, matplotlib, onnx, onnxruntime' >&2
cp bench/peers/requirements.txt "$stamp"
