package serve

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
)

// listen opens the listeners: for gRPC TCP, a Unix socket, or both, and the one
// for HTTP. After an error none is open.
func listen(s *settings.Settings) (grpc []net.Listener, web net.Listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range grpc {
				_ = l.Close() // nothing was served on it
			}
		}
	}()
	if s.GRPCListen != "" {
		tcp, err := net.Listen("tcp", s.GRPCListen)
		if err != nil {
			return grpc, nil, err
		}
		grpc = append(grpc, tcp)
	}
	if s.UnixPath != "" {
		unix, err := listenUnix(s.UnixPath, s.UnixMode)
		if err != nil {
			return grpc, nil, err
		}
		grpc = append(grpc, unix)
	}
	web, err = net.Listen("tcp", s.HTTPListen)
	return grpc, web, err
}

// listenUnix takes over the socket of a process that has died, and no other
// file.
func listenUnix(path string, mode os.FileMode) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if conn, err := net.Dial("unix", path); err == nil {
			return nil, errors.Join(fmt.Errorf("listen unix %s: a process listens there already", path), conn.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
