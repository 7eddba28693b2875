# What the tests need of Debian; make test installs what is missing, if it may.
PACKAGES = gcc libc6-dev e2fsprogs xfsprogs btrfs-progs sqlite3 fio git rsync postgresql redis-server ioping chromium stress-ng qemu-system-x86

GO      ?= go
RUN      = $(GO) tool -modfile=tools/go.mod

.PHONY: build test soak generate setup \
	bench bench-content bench-history bench-object bench-owed bench-flakey bench-volume bench-pathcheck bench-pressure

build:
	$(GO) build -o assay ./cmd/assay

# All that CI asks for: small counts of everything.
test: setup
	$(GO) build ./...
	$(GO) vet ./...
	cd tools && $(GO) vet ./...
	cd test/apps && $(GO) vet ./...
	cd test/browser && $(GO) vet ./...
	$(RUN) staticcheck ./...
	cd tools && $(GO) test ./... && $(GO) build -o ../.cache/testall ./testall
	cd test/browser && ../../.cache/testall ./...
	.cache/testall -race -fuzz 300x -timeout 80m ./...

# The full counts, the race detector where make test is without, and every fuzz
# target for a while. Ends within an hour and a half.
soak: setup
	cd tools && $(GO) build -o ../.cache/testall ./testall
	ASSAY_FULL=1 .cache/testall -fuzz 20s -timeout 80m ./...
	GORACE=atexit_sleep_ms=10 $(GO) test -race -timeout 80m ./cmd/assay ./volume ./flakey/soft

# Files that are made from the code and committed.
generate:
	ASSAY_GENERATE=1 $(GO) test ./scenario ./report ./cmd/assay -run 'Schema' -count=1

bench: bench-content bench-history bench-owed bench-object bench-flakey bench-volume bench-pathcheck bench-pressure

bench-content:
	$(GO) test ./content -run '^$$' -bench . -benchtime 2s
bench-history:
	$(GO) test ./history -run '^$$' -bench . -benchtime 2s
bench-owed:
	$(GO) test ./owed -run '^$$' -bench . -benchtime 2s
bench-object:
	$(GO) test ./object ./refstore -run '^$$' -bench . -benchtime 2s

bench-flakey: setup
	$(GO) test ./flakey/soft/medium -run '^$$' -bench . -benchtime 1s
	$(GO) test ./flakey/soft -run '^$$' -bench 'Disk|Fresh' -benchtime 3x -timeout 30m
	$(GO) test ./flakey/soft -run '^$$' -bench Cut -benchtime 20x

bench-volume: setup
	$(GO) test ./volume -run '^$$' -bench . -benchtime 3x -timeout 30m

bench-pathcheck: setup
	$(GO) test ./pathcheck -run '^$$' -bench AtOnce -benchtime 50x
	$(GO) test ./pathcheck -run '^$$' -bench Delay -benchtime 10x
	$(GO) test ./pathcheck -run '^$$' -bench Many -benchtime 1x

bench-pressure: setup
	$(GO) test ./pressure -run '^$$' -bench 'Memory|Disk' -benchtime 5x
	$(GO) test ./pressure -run '^$$' -bench CPU -benchtime 1x -timeout 30m

# Installs the Debian packages that are missing, where this is Debian and we
# are root, and fetches the kernel of the tests' guest; elsewhere it says what is
# missing and lets the tests skip.
setup:
	@tools/guest-kernel .cache/guest
	@missing=; for p in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "installing$$missing"; \
		(apt-get -qq -o DPkg::Lock::Timeout=600 update && DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $$missing) >/dev/null; \
	else echo "not installed (not root, or not Debian):$$missing"; fi
