// Package transport compares and imports as it must not.
package transport

import (
	same "bytes"

	_ "github.com/hookbastion/hookbastion/authz/signature" // want
)

// Compare compares under another name.
func Compare(a, b []byte) bool { return same.Equal(a, b) } // want
