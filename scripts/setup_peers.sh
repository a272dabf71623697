#!/usr/bin/env bash
# setup_peers.sh: installs what the tests labelled peers and browser need: Debian's PyTorch, torchvision,
# onnx.checker and Chromium, and ONNX Runtime from PyPI, in a virtual environment under build/peers. What
# cannot be had is named and is no error: the tests that need it are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=build/peers/onnxruntime
wanted=tests/deploy/requirements.txt
stamp=$folder/installed.txt

for group in peers browser; do
  if ! scripts/setup.sh "$group"; then
    echo "peers: NOT TESTED: Debian's packages of group $group cannot be installed; tests that need them" \
      "are skipped" >&2
  fi
done

if cmp -s "$wanted" "$stamp" || [ -n "${EVENKEEL_ORT_PYTHON:-}" ]; then
  exit 0
fi
install_onnxruntime() {
  rm -rf "$folder"
  mkdir -p "$(dirname "$folder")"
  "${EVENKEEL_PYTHON:-/usr/bin/python3}" -m venv "$folder" &&
    timeout 300 "$folder/bin/pip" install --quiet --disable-pip-version-check --timeout 30 --retries 2 \
      -r "$wanted" &&
    "$folder/bin/python" -c 'import onnxruntime, numpy'
}
echo "peers: installing ONNX Runtime into $folder (170 MB)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if install_onnxruntime >"$log" 2>&1; then
  cp "$wanted" "$stamp"
else
  tail -n 5 "$log" >&2
  echo "peers: NOT TESTED: models in ONNX Runtime, which cannot be installed; see the lines above" >&2
fi
