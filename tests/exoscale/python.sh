#!/usr/bin/env bash
# Installs Exoscale's Python client into a virtual environment of its own: python.sh FOLDER
set -euo pipefail
folder="$1"
version=0.16.4
if ! command -v python3 > /dev/null 2>&1; then
  echo "Python 3 is not installed" >&2
  exit 1
fi
mkdir -p "$folder"
exec 9> "$folder/lock"
flock 9
if [ ! -e "$folder/installed-$version" ]; then
  python3 -m venv "$folder" >&2
  "$folder/bin/pip" install --quiet --disable-pip-version-check "exoscale==$version" >&2
  touch "$folder/installed-$version"
fi
