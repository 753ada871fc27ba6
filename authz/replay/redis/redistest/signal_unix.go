//go:build unix

package redistest

import "syscall"

const sigStop, sigContinue = syscall.SIGSTOP, syscall.SIGCONT
