# Keytrustee. Everything here needs Go and make; what else it needs it installs, or says how (tools/need).
.PHONY: build test interop mutants faults bench demo lint clean

export CGO_ENABLED := 0

build:
	go build -o bin/ ./cmd/...

# One package at a time: several start PostgreSQL servers, and some measure seconds. Their data lies in memory where there is room for it.
test:
	@tools/need postgresql java maven pip ip rsync nft mkfs.ext4 rsyslogd sshd gpg curl
	go build ./...
	TMPDIR=$$(tools/scratch) go test -p 1 -count=1 -timeout 20m ./...

# Stock Hadoop clients against a real pair.
interop:
	@tools/need postgresql java maven ip rsync nft mkfs.ext4
	go test -count=1 -v ./interop/...

# Every guard switched off, one at a time: the tests must notice. ROWS='one hand' runs those whose name or file matches.
mutants:
	@tools/need postgresql gpg
	go test -count=1 -timeout 3h -v ./mutants -run '^TestMutants$$' -mutants -rows '$(ROWS)'

# A pair hurt at random while clients work on it: make faults SEED=7 DURATION=10m
faults: SEED ?= 3521
faults: DURATION ?= 5m
faults:
	@tools/need postgresql ip nft mkfs.ext4
	go test -count=1 -timeout 24h -v ./faults -run '^TestFaults$$' -seed $(SEED) -duration $(DURATION)

# What backups cost, beside what one would do by hand, on an idle machine: docs/performance.md. VERSIONS=100000 is enough for a look.
bench: VERSIONS ?= 1000000
bench:
	@tools/need postgresql
	go build -modfile=tools/age.mod -o bin/ filippo.io/age/cmd/age
	go test -count=1 -timeout 1h -run '^$$' -bench Backup -benchtime 1x ./bench -versions $(VERSIONS)

# The promises, one after the other, with the stock Hadoop client against a real pair on this machine.
demo: build
	@tools/need postgresql java maven
	@go run ./demo

# Code that only tests reach is dead too, except in the packages that are made for tests.
lint:
	@tools/need shellcheck
	shellcheck tools/need tools/scratch packaging/*.sh
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted"; exit 1; }
	go vet ./...
	go tool -modfile=tools/staticcheck.mod staticcheck ./...
	@dead=$$(go tool -modfile=tools/deadcode.mod deadcode ./... | grep -v -e '^[^ ]*test/' -e '^faults/' -e '^internal/machine/' -e '^replication/forgetfs/' || true); [ -z "$$dead" ] || { echo "$$dead"; exit 1; }

clean:
	rm -rf bin interop/target
