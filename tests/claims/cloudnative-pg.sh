#!/usr/bin/env bash
# Prints where CloudNativePG's own CustomResourceDefinition of its Cluster is: in its Go module.
set -euo pipefail
version=v1.27.0
if ! command -v go > /dev/null 2>&1; then
  echo "Go is not installed" >&2
  exit 1
fi
# Outside of any module of this repository.
cd /
module=$(go mod download -json "github.com/cloudnative-pg/cloudnative-pg@$version")
folder=$(sed -n 's/^[[:space:]]*"Dir": "\(.*\)",\{0,1\}$/\1/p' <<< "$module")
file="$folder/config/crd/bases/postgresql.cnpg.io_clusters.yaml"
[ -s "$file" ] || { echo "there is no $file" >&2; exit 1; }
printf '%s\n' "$file"
