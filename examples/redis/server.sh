# What writer.sh and reader.sh share: a Redis server of their own, which keeps
# everything in the directory $dir and listens on a socket there alone.

dir=$1

# start starts the server, with settings as redis-server takes them, and waits
# until it has read its data. It fails if the server ends.
start() {
	rm -f "$dir/log"
	redis-server --dir "$dir" --port 0 --unixsocket "$dir/socket" --logfile "$dir/log" \
		--appendonly yes --save "" "$@" &
	server=$!
	until [ "$(redis PING)" = PONG ]; do
		kill -0 $server 2>/dev/null || return 1
		sleep 0.02
	done
}

redis() {
	stdbuf -oL redis-cli -s "$dir/socket" "$@" 2>/dev/null
}
