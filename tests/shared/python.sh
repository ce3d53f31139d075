#!/usr/bin/env bash
# Installs Python packages into a virtual environment of their own: python.sh FOLDER NAME==VERSION...
set -euo pipefail
folder="$1"
shift
if ! command -v python3 > /dev/null 2>&1; then
  echo "Python 3 is not installed" >&2
  exit 1
fi
mkdir -p "$folder"
# Beside the folder: making it anew empties it.
exec 9> "$folder.lock"
flock 9
if [ "$(cat "$folder/installed" 2> /dev/null)" != "$*" ]; then
  python3 -m venv --clear "$folder" >&2
  "$folder/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
  echo "$*" > "$folder/installed"
fi
