//go:build !unix

package authztest

import "os"

// Pipe puts something there that is no regular file.
func Pipe(name string) error { return os.Mkdir(name, 0o700) }
