#!/usr/bin/env bash
# Builds the control plane that the tests run against, once per user and machine.
#
# The versions are pinned by the go.mod and go.sum files beside this script. The binaries go to
# a folder of the user's cache that is named after a hash of those files, so a fresh clone finds
# what an earlier one built, and a change of version builds anew.
#
# Prints progress on standard error and, as its last line, the folder on standard output.
# KUBEBUILDER_ASSETS (the convention of controller-runtime's envtest) wins when it is set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

say() { printf 'controlplane: %s\n' "$*" >&2; }

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  say "using KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS"
  printf '%s\n' "$KUBEBUILDER_ASSETS"
  exit 0
fi

modules="etcd kwok kubernetes"
key=$(cat etcd/go.{mod,sum} kwok/go.{mod,sum} kubernetes/go.{mod,sum} build.sh | sha256sum | cut -c1-16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/berth/controlplane/$key"
binaries="etcd kwok kubectl kube-apiserver kube-controller-manager kube-scheduler"

complete() { for name in $binaries; do [ -x "$folder/$name" ] || return 1; done; }

if complete; then
  say "found in $folder"
  printf '%s\n' "$folder"
  exit 0
fi
if ! command -v go >/dev/null 2>&1; then
  say "Go 1.26 or newer is needed to build the control plane: install it, or set KUBEBUILDER_ASSETS to a folder with: $binaries"
  exit 1
fi

mkdir -p "$folder"
# Two builds at once would only slow each other down: the second one waits and finds all done.
exec 9>"$folder/.lock"
flock 9
if complete; then
  printf '%s\n' "$folder"
  exit 0
fi

version=$(cd kubernetes && go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=$(printf '%s' "$version" | cut -d. -f2)
# A plain `go build` would report v0.0.0-master, and clients and feature gates would misjudge it.
stamp="k8s.io/component-base/version"
kubernetes_flags="-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor -X $stamp.gitTreeState=clean"
export CGO_ENABLED=0

total=6
number=0
build() { # module package binary ldflags
  number=$((number + 1))
  if [ -x "$folder/$3" ]; then
    say "[$number/$total] $3: done before"
    return
  fi
  say "[$number/$total] building $3 (the first time takes minutes: 10 to 20 in all on two cores)"
  local begin=$SECONDS
  (cd "$1" && go build -trimpath -buildvcs=false -ldflags "$4" -o "$folder/.$3.part" "$2")
  mv "$folder/.$3.part" "$folder/$3"
  say "[$number/$total] $3 took $((SECONDS - begin)) s"
}

say "building $modules for Kubernetes $version into $folder"
build etcd go.etcd.io/etcd/server/v3 etcd "-s -w"
build kwok sigs.k8s.io/kwok/cmd/kwok kwok "-s -w"
build kubernetes k8s.io/kubernetes/cmd/kube-scheduler kube-scheduler "$kubernetes_flags"
build kubernetes k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver "$kubernetes_flags"
build kubernetes k8s.io/kubernetes/cmd/kube-controller-manager kube-controller-manager "$kubernetes_flags"
build kubernetes k8s.io/kubernetes/cmd/kubectl kubectl "$kubernetes_flags"
printf '%s\n' "$folder"
