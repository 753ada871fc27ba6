//go:build unix

package authztest

import "syscall"

// Pipe puts something there that is no regular file, and blocks whoever opens it
// as one.
func Pipe(name string) error { return syscall.Mkfifo(name, 0o600) }
