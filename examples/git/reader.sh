#!/bin/sh
# Gets the hashes that the writer has printed on its standard input and tells
# whether the branch leads to all of these commits: 0 yes, 1 no, with a finding.
#
#   reader.sh DIRECTORY

cd "$1"
promised=$(cat)
[ -n "$promised" ] || exit 0
export GIT_CONFIG_GLOBAL=/dev/null
kept=$(git rev-list main 2>&1) || {
	echo "lost: the branch cannot be read: $kept"
	exit 1
}
{
	echo "$kept"
	echo promised
	echo "$promised"
} | awk '
	/promised/ { promised = 1; next }
	!promised { kept[$1] }
	promised && !($1 in kept) { lost++; last = $1 }
	END {
		if (!lost) exit 0
		print "lost: " lost " commits, the last " last
		exit 1
	}'
