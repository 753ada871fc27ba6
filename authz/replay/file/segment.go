package file

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// segmentName is the file of a segment.
func segmentName(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("%08d", n)) }

// segmentNumbers returns the first and the last segment in the directory; -1 and
// -1 if there is none. None may be missing in between.
func segmentNumbers(dir string) (first, last int, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return -1, -1, err
	}
	var numbers []int
	for _, f := range files {
		if n, err := strconv.Atoi(f.Name()); err == nil && segmentName("", n) == f.Name() {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) == 0 {
		return -1, -1, nil
	}
	slices.Sort(numbers)
	first, last = numbers[0], numbers[len(numbers)-1]
	if last-first != len(numbers)-1 {
		return -1, -1, fmt.Errorf("%s: segments between %08d and %08d are missing", dir, first, last)
	}
	return first, last, nil
}
