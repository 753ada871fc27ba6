package watch

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/policy"
)

// digest stands for the state of many files in a few bytes.
type digest [sha256.Size]byte

// state is how the files are, without having read them.
type state struct{ policies, others, secrets digest }

// lookAtPolicies describes the policy files at the paths, and which there are.
func lookAtPolicies(paths []string) digest {
	names, err := policy.Find(paths...)
	h := sha256.New()
	if err != nil {
		_, _ = io.WriteString(h, err.Error()) // hashes never fail
	}
	return describe(h, names)
}

func lookAt(names []string) digest { return describe(sha256.New(), names) }

// describe looks at the files behind all links.
func describe(h hash.Hash, names []string) digest {
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			_, _ = fmt.Fprintf(h, "%s: %v\n", name, err)
			continue
		}
		_, _ = fmt.Fprintf(h, "%s %s\n", name, secret.StampOf(info, info.ModTime()))
	}
	return digest(h.Sum(nil))
}
