//go:build !unix

package main

import "syscall"

// No process can be made to stand still here.
const (
	works                = false
	hotRestarts          = false
	sigStop, sigContinue = syscall.Signal(-1), syscall.Signal(-1)
)

func ownGroup() *syscall.SysProcAttr { return nil }
