#!/usr/bin/env bash
# Installs lm-eval for its test, into node_modules/.cache: 430 MB, so that npm test does not do it by itself.
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)
digest=$(sha256sum "$folder/requirements.txt" | cut -c 1-12)
place=$folder/../../../../node_modules/.cache/lm-eval-$digest
[ ! -e "$place/whole" ] || exit 0
rm -rf "$place"
python3 -m venv "$place"
"$place/bin/python" -m pip install --quiet --no-compile --disable-pip-version-check --no-deps -r "$folder/requirements.txt"
touch "$place/whole"
