#!/usr/bin/env bash
# Builds influxd 2.7 from its Go module: no package registry carries a binary of the 2.x line.
# Usage: build.sh OUTPUT_FILE
set -euo pipefail

output=$(realpath -m "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp "$here/go.mod" "$work/go.mod"
cat > "$work/tools.go" <<'GO'
//go:build tools

package tools

import _ "github.com/influxdata/influxdb/v2/cmd/influxd/launcher"
GO

# Flux's Rust half denies warnings that newer compilers raise, and RUSTFLAGS do not reach build scripts.
cat > "$work/rustc" <<'SH'
#!/bin/sh
exec "$@" --cap-lints warn
SH
chmod +x "$work/rustc"

cd "$work"
GOBIN="$work/bin" go install github.com/influxdata/pkg-config@v0.2.14
export GOFLAGS=-mod=mod
export PKG_CONFIG="$work/bin/pkg-config" RUSTUP_TOOLCHAIN=stable RUSTC_WRAPPER="$work/rustc"
go build -tags sqlite_foreign_keys,sqlite_json,noassets \
  -ldflags "-s -w -X main.version=v2.7.12" \
  -o "$work/influxd" github.com/influxdata/influxdb/v2/cmd/influxd
mkdir -p "$(dirname "$output")"
# A rename is atomic: another checkout never runs half a file.
cp "$work/influxd" "$output.$$"
mv "$output.$$" "$output"
