package envoytest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Dial opens a TLS connection to Envoy for requests that net/http would not
// write. protocol is "http/1.1" or "h2".
func (g *Gateway) Dial(ctx context.Context, protocol string) (net.Conn, error) {
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: g.Roots, NextProtos: []string{protocol}, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", g.Address)
	if err != nil {
		return nil, err
	}
	return conn, conn.SetDeadline(time.Now().Add(clientTimeout))
}

// Raw sends text as it is over HTTP/1.1 and reads one answer. The connection
// stays open until then, so that a request may be incomplete.
func (g *Gateway) Raw(ctx context.Context, text string) (*http.Response, error) {
	conn, err := g.Dial(ctx, "http/1.1")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // all that matters has been read
	if _, err := io.WriteString(conn, text); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	return buffered(response)
}

// buffered reads the body, so that the connection may be closed.
func buffered(response *http.Response) (*http.Response, error) {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// Stream is one HTTP/2 request, frame by frame.
type Stream struct {
	conn   net.Conn
	framer *http2.Framer
}

// OpenStream opens a connection and sends the head of a request on it, with a
// content-length if length is not negative.
func (g *Gateway) OpenStream(ctx context.Context, req *http.Request, length int) (*Stream, error) {
	conn, err := g.Dial(ctx, "h2")
	if err != nil {
		return nil, err
	}
	s := &Stream{conn: conn, framer: http2.NewFramer(conn, conn)}
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fields := []hpack.HeaderField{
		{Name: ":method", Value: req.Method},
		{Name: ":scheme", Value: "https"},
		{Name: ":authority", Value: g.Address},
		{Name: ":path", Value: req.URL.RequestURI()},
	}
	for name, values := range req.Header {
		for _, value := range values {
			fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
		}
	}
	if length >= 0 {
		fields = append(fields, hpack.HeaderField{Name: "content-length", Value: strconv.Itoa(length)})
	}
	if _, err = io.WriteString(conn, http2.ClientPreface); err == nil {
		err = s.framer.WriteSettings()
	}
	if err == nil {
		err = s.Headers(false, fields...)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Headers sends a HEADERS frame: the head, or trailers that end the stream.
func (s *Stream) Headers(end bool, fields ...hpack.HeaderField) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, f := range fields {
		if err := encoder.WriteField(f); err != nil {
			return err
		}
	}
	return s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
}

// Data sends one DATA frame.
func (s *Stream) Data(end bool, data []byte) error { return s.framer.WriteData(1, end, data) }

// Response reads the answer. A stream that was reset has status 0.
func (s *Stream) Response() (*http.Response, error) {
	response := &http.Response{Header: http.Header{}}
	var body bytes.Buffer
	for ended := false; !ended; {
		frame, err := s.framer.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			response.StatusCode, _ = strconv.Atoi(frame.PseudoValue("status"))
			for _, f := range frame.RegularFields() {
				response.Header.Add(f.Name, f.Value)
			}
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			body.Write(frame.Data())
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame:
			ended = true
		}
	}
	response.Body = io.NopCloser(&body)
	return response, nil
}

// Close ends the connection.
func (s *Stream) Close() { _ = s.conn.Close() } // it may be closed already

// Frames sends a request over HTTP/2 with these DATA frames, the last of which
// ends the stream, and reads the answer.
func (g *Gateway) Frames(ctx context.Context, req *http.Request, withLength bool, data ...[]byte) (*http.Response, error) {
	length := -1
	if withLength {
		length = len(bytes.Join(data, nil))
	}
	s, err := g.OpenStream(ctx, req, length)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for i, d := range data {
		if err := s.Data(i == len(data)-1, d); err != nil {
			return nil, err
		}
	}
	return s.Response()
}
