// Package cli holds what subcommands share: exit codes, flags, input and output.
package cli

import "fmt"

// Exit is a code that a command ends with, beside 0. It is an error without
// words: what there was to say was printed already.
type Exit int

const (
	Failed  Exit = 1
	Denied  Exit = 1
	Invalid Exit = 3
)

func (e Exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }
