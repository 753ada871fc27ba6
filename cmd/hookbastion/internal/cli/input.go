package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// maxCapture is the largest request that explain and sign read.
const maxCapture = 256 << 20

// ReadInput reads a file, or standard input for "-".
func ReadInput(stdin io.Reader, file string) ([]byte, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxCapture+1))
	if err == nil && len(data) > maxCapture {
		err = fmt.Errorf("%s: larger than %d MiB", file, maxCapture>>20)
	}
	return data, err
}

func ParseNow(text string) (time.Time, error) {
	if text == "" {
		return time.Now(), nil
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(seconds, 0), nil
	}
	now, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("--now must be a time in RFC 3339 or Unix seconds")
	}
	return now, nil
}
