#!/bin/sh
# Adds to a list in Redis for ever, and prints how long it is once the server
# has said so.
#
#   writer.sh DIRECTORY [--SETTING VALUE]…

. "${0%/*}/server.sh"
shift

start "$@" || exit
yes "RPUSH kept $(printf '%0300d' 0)" | redis
