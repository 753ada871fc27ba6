package redis

import (
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"embed"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
)

//go:embed script/*.lua
var scripts embed.FS

// The operations, each one script.
const (
	opReserve = iota
	opSettle
	opRelease
	opPermit
	opLook
	opOpen
	operations
)

const (
	// adoptable is how long an attempt can adopt what is final already: longer
	// than any timeout that Envoy gives a check.
	adoptable = 10 * time.Second
	// owners is more attempts than Envoy makes of one check in practice.
	owners = 16
	// proven is how long a settlement proves to all replicas that the access log
	// comes.
	proven = 24 * time.Hour
)

var (
	bodies [operations]string
	begin  = read("begin")
	tick   = read("tick")
)

func init() {
	header := fmt.Sprintf("local SKEW, ADOPTABLE, PROVEN, PERMITTED, OWNERS = %d, %d, %d, %d, %d\n",
		replay.Skew.Microseconds(), adoptable.Microseconds(), proven.Milliseconds(), replay.PermitTime.Milliseconds(), owners) +
		fmt.Sprintf("local TIMES_FREE, RESERVE, LEAST = %d, %d, %d\n", timesFree, reserve, least)
	common := read("common")
	for op, name := range [operations]string{opReserve: "reserve", opSettle: "settle", opRelease: "release", opPermit: "permit", opLook: "look", opOpen: "open"} {
		bodies[op] = header + common + read(name)
	}
}

func read(name string) string {
	text, err := scripts.ReadFile("script/" + name + ".lua")
	if err != nil {
		panic(err) // it is part of the program
	}
	return string(text)
}

// generation names an unbroken memory of one shard: its scripts have the
// generation's id in them, so that a server process which has not been told of
// it does not know the scripts.
type generation struct {
	id     string // 16 hexadecimal digits
	hashes [operations]string
}

// script returns the text of an operation's script. When the server has no
// memory left, what gives up nonces must run all the same, and what takes one up
// must run as far as to the first write: it still knows copies.
func (g *generation) script(op int) string {
	flags := ""
	if op == opSettle || op == opRelease {
		flags = "#!lua flags=allow-oom\n"
	}
	return flags + "local GENERATION = '" + g.id + "'\n" + bodies[op]
}

func newGeneration(id string) *generation {
	g := &generation{id: id}
	for op := range g.hashes {
		sum := sha1.Sum([]byte(g.script(op))) //nolint:gosec // it is how Redis names scripts
		g.hashes[op] = hex.EncodeToString(sum[:])
	}
	return g
}
