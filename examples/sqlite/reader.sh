#!/bin/sh
# Gets the numbers that the writer has printed on its standard input and tells
# whether the database is sound and has all of them: 0 yes, 1 no, with a finding.
#
#   reader.sh DIRECTORY

broken() {
	echo "lost: $*"
	exit 1
}

check=$(sqlite3 -bail "$1/db" 'PRAGMA integrity_check' 2>&1) && [ "$check" = ok ] ||
	broken "the database is not sound: $check"
{
	sqlite3 -bail "$1/db" 'SELECT n FROM kept'
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
