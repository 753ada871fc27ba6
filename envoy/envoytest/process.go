package envoytest

// Pid is the number of the process, for those who measure it.
func (e *Envoy) Pid() int { return e.cmd.Process.Pid }
