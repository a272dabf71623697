#!/usr/bin/env bash
# pictures.sh [LAB]: makes the pictures of the README anew from a lab's folder (runs/lab, which
# `evenkeel lab` writes). Needs Chromium and its driver, which scripts/setup.sh browser installs.
set -euo pipefail
cd "$(dirname "$0")/.."
lab=${1:-runs/lab}
if [ ! -e "$lab/index.html" ]; then
  echo "pictures: there is no report in '$lab'; run 'evenkeel lab' first, or name its folder" >&2
  exit 2
fi
scripts/setup.sh browser
PYTHONPATH=tests/lab_report/browser PYTHONDONTWRITEBYTECODE=1 \
  python3 scripts/pictures.py "$lab/index.html" docs/pictures
