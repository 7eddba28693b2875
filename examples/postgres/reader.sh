#!/bin/sh
# Gets the numbers that the writer has printed on its standard input, starts
# the server on what is there and tells whether it has all of them: 0 yes, 1 no, with a finding.
#
#   reader.sh DIRECTORY

. "${0%/*}/server.sh"

broken() {
	echo "lost: $*"
	exit 1
}

[ -e "$data" ] || broken "there is no database"
start 2>/dev/null || broken "the server does not start: $(tail -n 5 "$dir/log")"
trap stop EXIT # or assay would have to kill it

kept=$(sql -c "SELECT n FROM kept" 2>&1) || broken "the table cannot be read: $kept"
{
	echo "$kept"
	echo promised
	cat
} | awk '
	/promised/ { promised = 1; next }
	!promised { kept[$1] }
	promised && !($1 in kept) { lost++; last = $1 }
	END {
		if (!lost) exit 0
		print "lost: " lost " rows, the last " last
		exit 1
	}'
