package provider

import (
	_ "embed" // the list
	"encoding/json"
	"fmt"
	"sync"
)

//go:embed sizes.json
var sizesList []byte

// Size is the largest body that a provider says it delivers.
type Size struct {
	Provider string
	Bytes    uint64
	// Text is what the provider says, Source where.
	Text, Source string
}

var sizes = sync.OnceValues(func() (map[string]Size, error) {
	var list []Size
	if err := json.Unmarshal(sizesList, &list); err != nil {
		return nil, fmt.Errorf("sizes.json: %w", err)
	}
	all := map[string]Size{}
	for _, s := range list {
		all[s.Provider] = s
	}
	return all, nil
})

// Largest returns what is known of the largest delivery of a provider. Most say
// nothing of it: then Bytes is 0.
func Largest(name string) (Size, error) {
	all, err := sizes()
	return all[name], err
}
