#!/bin/sh
# Runs rows, the writer and the reader of test/apps/rows, and builds it first
# where it is missing or older than its source.

root=$(cd "${0%/*}/../.." && pwd) || exit
program=$root/.cache/rows
if ! [ "$program" -nt "$root/test/apps/rows/main.go" ]; then
	go build -C "$root/test/apps" -o "$program.$$" ./rows && mv "$program.$$" "$program" || exit
fi
exec "$program" "$@"
