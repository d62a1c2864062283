#!/bin/sh
# Puts the ClickHouse engine (libchdb) where the gateway looks for it. Does nothing when it is there already.
#
#   scripts/libchdb.sh            install (178 MB to fetch, 566 MB on disk)
#   scripts/libchdb.sh --path     print where the library belongs, and end
#
# The folder is outside the working tree, so that `cargo clean` keeps it and all clones on one machine share it:
# $SOCIARO_GATEWAY_LIB, else $XDG_DATA_HOME/sociaro-gateway/lib, else ~/.local/share/sociaro-gateway/lib.
# npm is only the way to the registry; nothing of the package is run.
set -eu

package=@chdb/lib-linux-x64-gnu
package_version=26.7.3-stable.1
archive_sha512=XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==
library_sha256=36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5
library_name=libchdb-26.7.3.so
disk_kb_min=1200000 # archive and library side by side

fail() {
    printf 'libchdb: %s\n' "$*" >&2
    exit 1
}

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

sha512_base64_of() {
    sha512sum "$1" | cut -d ' ' -f 1 |
        node -e 'process.stdout.write(Buffer.from(require("fs").readFileSync(0, "utf8").trim(), "hex").toString("base64"))'
}

folder=${SOCIARO_GATEWAY_LIB:-${XDG_DATA_HOME:-${HOME:?set HOME or SOCIARO_GATEWAY_LIB}/.local/share}/sociaro-gateway/lib}
library=$folder/$library_name

case ${1-} in
'') ;;
--path)
    printf '%s\n' "$library"
    exit 0
    ;;
*) fail "unknown argument $1; see the head of this script" ;;
esac

# The name is only ever given to a whole, checked file (see the last step), so its presence is enough.
if [ -f "$library" ]; then
    printf 'libchdb: %s is in place\n' "$library"
    exit 0
fi

case $(uname -s)-$(uname -m) in
Linux-x86_64) ;;
*) fail "the embedded store is pinned for Linux on x86-64 with glibc, this is $(uname -sm); use a ClickHouse server instead (usage.clickhouse in gateway.yaml)" ;;
esac
if ldd --version 2>&1 | grep -qi musl; then
    fail "libchdb needs glibc and this system has musl; use a ClickHouse server instead (usage.clickhouse in gateway.yaml)"
fi
for tool in npm node tar sha256sum sha512sum; do
    command -v "$tool" >/dev/null 2>&1 || fail "$tool is missing; install it (Debian: apt-get install npm nodejs tar coreutils) and run this again"
done

mkdir -p "$folder" || fail "cannot make the folder $folder"
disk_kb=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
[ "$disk_kb" -ge "$disk_kb_min" ] || fail "$folder has $disk_kb KB free, $disk_kb_min KB are needed"

# Work beside the goal, so that the last step is a rename within one file system.
work=$(mktemp -d "$folder/.fetch.XXXXXX") || fail "cannot write to $folder"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

printf 'libchdb: fetching %s@%s (178 MB)\n' "$package" "$package_version"
(cd "$work" && npm pack --silent "$package@$package_version" >npm.out 2>npm.err) || {
    cat "$work/npm.err" >&2
    fail "npm could not fetch $package@$package_version: is the registry reachable (npm ping)? A mirror or proxy is set with npm config set registry|proxy"
}
archive=$(find "$work" -name '*.tgz' | head -n 1)
[ -n "$archive" ] || fail "npm fetched no archive"
[ "$(sha512_base64_of "$archive")" = "$archive_sha512" ] ||
    fail "the archive's SHA-512 is not the pinned one; it was damaged or replaced and has been thrown away"

tar -xzf "$archive" -C "$work" package/libchdb.so || fail "the archive cannot be unpacked"
[ "$(sha256_of "$work/package/libchdb.so")" = "$library_sha256" ] ||
    fail "the library's SHA-256 is not the pinned one; it has been thrown away"
chmod 0644 "$work/package/libchdb.so"
sync "$work/package/libchdb.so" 2>/dev/null || sync
mv -f "$work/package/libchdb.so" "$library"
printf 'libchdb: installed %s\n' "$library"
