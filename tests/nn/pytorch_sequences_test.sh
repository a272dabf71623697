#!/usr/bin/env bash
# The PyTorch that is installed gives the numbers of pytorch_sequences.h. Needs python3-torch; EVENKEEL_PYTHON
# names an interpreter other than /usr/bin/python3. Ends with 77 where there is none.
set -euo pipefail
cd "$(dirname "$0")"
python=${EVENKEEL_PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
  echo "pytorch_sequences_test.sh: Skipped"
  echo "no python3-torch for $python"
  exit 77
fi
"$python" pytorch_sequences.py | "$python" -c '
import re
import sys

number = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
def numbers(text):
    return [float(n) for n in number.findall(text[text.index("clang-format off"):])]

wanted = numbers(open("pytorch_sequences.h").read())
got = numbers(sys.stdin.read())
assert len(got) == len(wanted) > 100, f"{len(got)} numbers instead of {len(wanted)}"
worst = max(abs(g - w) for g, w in zip(got, wanted))
print(f"{len(got)} numbers differ by {worst} at most")
assert worst <= 1e-14, worst
'
