package provider

import (
	"crypto/sha256"
	_ "embed" // the list
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/hookbastion/hookbastion/authz/secret"
)

//go:embed published.json
var publishedList []byte

// secretPrefixes may stand before a secret or not.
var secretPrefixes = []string{"v1,", "whsec_"}

// published has the digests of secrets that anyone can read, with where: those
// of the list and those of the vectors. The secrets themselves are not kept.
var published = sync.OnceValues(func() (map[[sha256.Size]byte]string, error) {
	all := map[[sha256.Size]byte]string{}
	var list []struct{ Value, Source string }
	if err := json.Unmarshal(publishedList, &list); err != nil {
		return nil, fmt.Errorf("published.json: %w", err)
	}
	for _, p := range list {
		all[digestOf(p.Value)] = p.Source
	}
	entries, err := files.ReadDir("vectors")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if path.Ext(entry.Name()) != ".json" {
			continue
		}
		data, err := files.ReadFile(path.Join("vectors", entry.Name()))
		if err != nil {
			return nil, err
		}
		var vectors []struct{ Keys []struct{ Value string } }
		if err := json.Unmarshal(data, &vectors); err != nil {
			return nil, fmt.Errorf("vectors/%s: %w", entry.Name(), err)
		}
		for _, v := range vectors {
			for _, key := range v.Keys {
				if digest := digestOf(key.Value); key.Value != "" && all[digest] == "" {
					all[digest] = "a test vector of " + strings.TrimSuffix(entry.Name(), ".json")
				}
			}
		}
	}
	return all, nil
})

// Published returns where a secret can be read by anyone: a test secret of a
// provider, an example of its documentation. It is empty if no such place is
// known.
func Published(text secret.Value) string {
	all, err := published()
	if err != nil {
		return "" // its test would have failed
	}
	return all[digestOf(string(text.Reveal()))]
}

// PublishedDigest is Published for a token of which only the digest is known.
func PublishedDigest(digest secret.Digest) string {
	all, err := published()
	if err != nil {
		return ""
	}
	return all[digest.Sum()]
}

func digestOf(text string) [sha256.Size]byte {
	for _, prefix := range secretPrefixes {
		text = strings.TrimPrefix(text, prefix)
	}
	return sha256.Sum256([]byte(text))
}
