//go:build !unix

package redistest

import "syscall"

// No process can be made to stand still here: sending them is an error.
const sigStop, sigContinue = syscall.Signal(-1), syscall.Signal(-1)
