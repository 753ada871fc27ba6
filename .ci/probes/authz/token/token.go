// Package token compares as it must not.
package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/subtle" // want
	"reflect"
	"slices"

	_ "github.com/hookbastion/hookbastion/authz/signature" // want
)

// Compare compares.
func Compare(a, b []byte) bool {
	equal := bytes.Equal // want
	return equal(a, b) ||
		hmac.Equal(a, b) || // want
		bytes.Equal(a, b) || // want
		bytes.Compare(a, b) > 0 || // want
		slices.Equal(a, b) || // want
		reflect.DeepEqual(a, b) || // want
		subtle.ConstantTimeCompare(a, b) == 1
}
