#!/bin/sh
# Makes files, two at a time, and syncs both: each whose fsync returned 0 is a
# promise. An fsync of the file keeps its name too on ext4, as its journal holds all.
#
#   writer.sh DIR

export LC_ALL=C # of what sync says
dir=$1
cd "$dir" || exit 2
mkdir -p files && sync -f . || exit 2
i=0
while i=$((i + 1)) && [ $i -le 100000 ]; do
	: >"files/$i.a" && : >"files/$i.b" || exit 0
	said=$(sync "files/$i.a" "files/$i.b" 2>&1) # one fsync each
	for f in "$i.a" "$i.b"; do
		case $said in
		*"'files/$f'"*) ;; # refused: no promise
		*) echo "$f" ;;
		esac
	done
	[ -z "$said" ] || exit 0
done
