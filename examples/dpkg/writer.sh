#!/bin/sh
# Installs ever newer versions of a package of one file below a directory, and
# prints each version once dpkg has ended well.
#
#   writer.sh DIRECTORY [OPTION OF DPKG]…

set -e
root=$1
shift
for dir in info updates triggers; do
	mkdir -p "$root/var/lib/dpkg/$dir"
done
touch "$root/var/lib/dpkg/status"
package=$(mktemp -d "$root/package.XXXXXX")
mkdir -p "$package/DEBIAN" "$package/opt"
sync -f "$root"
n=$(date +%s%N)
while n=$((n + 1)); do
	echo $n >"$package/opt/kept"
	printf 'Package: kept\nVersion: %s\nArchitecture: all\nMaintainer: assay <assay@localhost>\nDescription: kept\n' $n >"$package/DEBIAN/control"
	dpkg-deb --build --root-owner-group "$package" "$root/kept.deb" >/dev/null
	dpkg --root="$root" --log=/dev/null "$@" --install "$root/kept.deb" >/dev/null
	echo $n
done
