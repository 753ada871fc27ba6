package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/rogpeppe/go-internal/testscript"
)

// listen is a command of scripts: listen NAME plain|tls|http2 starts a listener, whose
// URL is then $NAME. It writes what it gets into the file received, as explain reads it,
// and answers as the path says.
func listen(script *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		script.Fatalf("usage: listen NAME plain|tls|http2")
	}
	received := script.MkAbs("received")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := record(received, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		switch r.URL.Path {
		case "/denied":
			w.Header().Set("X-Hookbastion-Decision-Id", "0123456789abcdef")
			w.WriteHeader(http.StatusUnauthorized)
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/silent":
			<-r.Context().Done()
		case "/strange":
			_, _ = fmt.Fprint(w, "\x1b]0;title\a")
		default:
			_, _ = fmt.Fprintf(w, "received by %s\n", r.Proto)
		}
	}))
	switch args[1] {
	case "tls":
		server.StartTLS()
	case "http2":
		server.EnableHTTP2 = true
		server.StartTLS()
	default:
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetHTTP1(true)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		server.Start()
	}
	script.Defer(server.Close)
	script.Setenv(args[0], server.URL)
}

// record writes a request as it is on the wire of HTTP/1.1.
func record(file string, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Method, r.RequestURI, r.Host, len(body))
	r.Header.Del("Content-Length")
	if err := r.Header.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	return os.WriteFile(file, append(b.Bytes(), body...), 0o600)
}
