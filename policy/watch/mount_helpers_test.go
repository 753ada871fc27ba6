package watch_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"syscall"
)

// errLoop is what a link to itself is.
const errLoop = syscall.ELOOP

// githubSignature signs as GitHub does.
func githubSignature(key string, body []byte) (string, error) {
	mac := hmac.New(sha256.New, []byte(key))
	_, err := mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil)), err
}
