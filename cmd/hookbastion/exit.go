package main

import (
	"fmt"
)

// Exit codes beside 0 and 1.
const (
	exitDenied  = 1
	exitInvalid = 3
)

// exitError carries an exit code; its text, if any, was printed already.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit %d", e.code) }
