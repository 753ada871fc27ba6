package main

import (
	"bufio"
	"io"
	"net"
	"net/textproto"
	"strconv"
)

// newUpstream is an application that takes every delivery. Its time counts for
// nobody.
func newUpstream() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() { // ends with the listener
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go takeAll(conn)
		}
	}()
	return listener, nil
}

// takeAll answers each request of a connection until its end.
func takeAll(conn net.Conn) {
	defer func() { _ = conn.Close() }() // Envoy begins another one
	in := bufio.NewReaderSize(conn, 64<<10)
	text := textproto.NewReader(in)
	for {
		if _, err := text.ReadLine(); err != nil {
			return
		}
		header, err := text.ReadMIMEHeader()
		if err != nil {
			return
		}
		length, err := strconv.ParseInt(header.Get("content-length"), 10, 64)
		if err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, in, length); err != nil {
			return
		}
		if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")); err != nil {
			return
		}
	}
}
