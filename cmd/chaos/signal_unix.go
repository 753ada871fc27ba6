//go:build unix

package main

import (
	"runtime"
	"syscall"
)

const (
	works                = true
	hotRestarts          = runtime.GOOS == "linux"
	sigStop, sigContinue = syscall.SIGSTOP, syscall.SIGCONT
)

// ownGroup keeps an interrupt of the terminal from the processes.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
