#!/bin/sh
# Gets the lengths that the writer has printed on its standard input, starts
# the server on what is there and tells whether the list is as long: 0 yes, 1 no, with a finding.
#
#   reader.sh DIRECTORY

. "${0%/*}/server.sh"

broken() {
	echo "lost: $*"
	exit 1
}

start || broken "the server does not start: $(tail -n 5 "$dir/log")"
trap 'redis SHUTDOWN NOSAVE; wait' EXIT # or assay would have to kill it

promised=$(sort -n | tail -n 1)
kept=$(redis LLEN kept)
[ "${kept:-0}" -ge "${promised:-0}" ] || broken "the list has $kept entries, promised were $promised"
