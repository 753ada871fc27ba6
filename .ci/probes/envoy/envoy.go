// Package envoy has no secrets in its headers, but may have MACs.
package envoy

import (
	"bytes"
	"crypto/hmac"
)

// Compare compares.
func Compare(a, b []byte) bool {
	return bytes.Equal(a, b) || hmac.Equal(b, a) // want
}
