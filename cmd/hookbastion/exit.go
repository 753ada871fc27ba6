package main

import "fmt"

// exit is a code that a command ends with, beside 0. It is an error without
// words: what there was to say was printed already.
type exit int

const (
	failed  exit = 1
	denied  exit = 1
	invalid exit = 3
)

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }
