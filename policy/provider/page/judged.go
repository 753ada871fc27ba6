package page

import (
	_ "embed" // what judges are there
	"encoding/json"
	"strings"
	"sync"
)

//go:embed judged.json
var judgedList []byte

// judged are the libraries that a test compares our verdicts with, by provider and
// scheme. The test writes the file.
var judged = sync.OnceValue(func() map[string]map[string][]string {
	all := map[string]map[string][]string{}
	if err := json.Unmarshal(judgedList, &all); err != nil {
		panic("judged.json: " + err.Error()) // a part of the program
	}
	return all
})

// judgedWords are the libraries; docs/providers/judges.md has the rest.
func judgedWords(provider, scheme string) string {
	libraries := judged()[provider][scheme]
	if len(libraries) == 0 {
		return "no library"
	}
	return strings.Join(libraries, ", ")
}
