#!/bin/sh
# Commits to a Git repository for ever, and prints the hash of each commit once
# git commit has returned.
#
#   writer.sh DIRECTORY [SETTING=VALUE]… [then-sync]

set -e
cd "$1"
shift
export GIT_AUTHOR_NAME=assay GIT_AUTHOR_EMAIL=assay@localhost GIT_COMMITTER_NAME=assay GIT_COMMITTER_EMAIL=assay@localhost
export GIT_CONFIG_GLOBAL=/dev/null

if ! git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
	rm -rf .git
	git init --quiet --initial-branch=main
	for setting in ${*%then-sync}; do
		git config "${setting%%=*}" "${setting#*=}"
	done
	sync -f . # the settings, and that there is a repository
fi
rm -f .git/*.lock .git/refs/heads/*.lock # of who was cut
n=0
while n=$((n + 1)); do
	date +%s.%N >file
	git add file
	git commit --quiet --message "$n"
	case $* in *then-sync) sync -f . ;; esac
	git rev-parse HEAD
done
