#!/bin/sh
# Gets the names that are promised to be gone on its standard input and tells
# whether they are: 0 yes, 1 no, with a finding.
#
#   reader.sh DIRECTORY

while read -r n; do
	[ ! -e "$1/names/$n" ] || back="$back $n"
done
[ -z "$back" ] || { echo "resurrected:$back"; exit 1; }
