#!/bin/sh
# Gets the versions that the writer has printed on its standard input and tells
# whether the last one, or a later, is installed and its file is there: 0 yes,
# 1 no, with a finding.
#
#   reader.sh DIRECTORY

promised=$(sort -n | tail -n 1)
[ -n "$promised" ] || exit 0
status=$(dpkg-query --admindir="$1/var/lib/dpkg" --show --showformat '${db:Status-Status} ${Version}' kept 2>&1)
kept=$(cat "$1/opt/kept" 2>&1)
if [ "$status" = "installed ${status#installed }" ] && [ "${status#installed }" -ge "${promised:-0}" ] && [ "$kept" -ge "${promised:-0}" ]; then
	exit 0
fi 2>/dev/null
echo "lost: promised was $promised; dpkg says $status; the file says $kept"
exit 1
