#!/usr/bin/env bash
# Installs Prism into FOLDER, and prepares the description of Exoscale's API for it:
#
#   tools.sh FOLDER DESCRIPTION
#
# Prism routes `PUT /instance/{id}:scale` to `PUT /instance/{id}` when that comes later in the
# description: so those paths go to its end, the shortest first. Nothing else changes.
set -euo pipefail
folder="$1" description="$2"
version=5.14.2
if ! command -v npm > /dev/null 2>&1; then
  echo "Node.js is not installed: https://nodejs.org" >&2
  exit 1
fi
mkdir -p "$folder"
exec 9> "$folder/lock"
flock 9
if [ ! -x "$folder/node_modules/.bin/prism" ]; then
  npm install --silent --no-audit --no-fund --prefix "$folder" "@stoplight/prism-cli@$version" >&2
fi
node -e '
  const fs = require("fs");
  const [input, output] = process.argv.slice(1);
  const description = JSON.parse(fs.readFileSync(input));
  const paths = Object.entries(description.paths);
  const verbs = paths.filter(([path]) => path.includes(":"));
  verbs.sort(([left], [right]) => left.length - right.length);
  const plain = paths.filter(([path]) => !path.includes(":"));
  description.paths = Object.fromEntries([...plain, ...verbs]);
  fs.writeFileSync(output, JSON.stringify(description));
' "$description" "$folder/description.json"
