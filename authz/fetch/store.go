package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// store keeps what was good last, one file for each URL, so that a restart while
// a server is away costs nothing. Whoever can write to its directory can put keys
// there. The zero value keeps nothing.
type store struct{ directory string }

// kept is one file. Sum is that of Body: a file of which a half was written, or
// that a disk has changed, counts as none.
type kept struct {
	URL       string    `json:"url"`
	ID        string    `json:"id,omitempty"`
	Confirmed time.Time `json:"confirmed"`
	Changed   time.Time `json:"changed"`
	ETag      string    `json:"etag,omitempty"`
	Modified  string    `json:"modified,omitempty"`
	Body      []byte    `json:"body"`
	Sum       string    `json:"sha256"`
}

const keptSuffix = ".fetched"

// name is the file's name: what it is of, hashed, and the id, hashed, so that no
// text of a stranger is part of it.
func (s store) name(identity, id string) string {
	return filepath.Join(s.directory, hashed(identity)+"-"+hashed(id)+keptSuffix)
}

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// write puts a file in the place of the one before, in one step.
func (s store) write(identity string, k kept) (err error) {
	if s.directory == "" {
		return nil
	}
	k.Sum = sumOf(k.Body)
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.directory, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(s.directory, "new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // the first error counts
		}
	}()
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), s.name(identity, k.ID))
}

// read returns what was good last of one URL.
func (s store) read(identity, id string) (kept, bool) {
	if s.directory == "" {
		return kept{}, false
	}
	return readKept(s.name(identity, id))
}

// readAll returns what was good last of all ids of a family.
func (s store) readAll(identity string) []kept {
	if s.directory == "" {
		return nil
	}
	names, err := filepath.Glob(filepath.Join(escapeGlob(s.directory), hashed(identity)+"-*"+keptSuffix))
	if err != nil {
		return nil
	}
	var all []kept
	for _, name := range names {
		if k, ok := readKept(name); ok && s.name(identity, k.ID) == name {
			all = append(all, k)
		}
	}
	return all
}

// remove forgets one URL.
func (s store) remove(identity, id string) {
	if s.directory != "" {
		_ = os.Remove(s.name(identity, id)) // or it is not there
	}
}

// maxKept is the size of the largest file that is read: a body of base64 of the
// largest answer, and what else there is.
const maxKept = 24 << 20

func readKept(name string) (kept, bool) {
	file, err := os.Open(name)
	if err != nil {
		return kept{}, false
	}
	defer func() { _ = file.Close() }() // only read
	var k kept
	text, err := io.ReadAll(io.LimitReader(file, maxKept))
	if err != nil || json.Unmarshal(text, &k) != nil || k.Sum != sumOf(k.Body) {
		return kept{}, false
	}
	return k, true
}

func escapeGlob(directory string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(directory)
}
