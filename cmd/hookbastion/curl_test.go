package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// curl does what `sign --format curl` asks of it, for machines without one.
func curl(args []string) int {
	method, header, body, url, insecure := "", http.Header{}, "", "", false
	bundle := os.Getenv("CURL_CA_BUNDLE")
	for i := 0; i < len(args); i++ {
		option := args[i]
		if option == "-sS" || option == "-i" {
			continue
		}
		if !strings.HasPrefix(option, "-") {
			url = option
			continue
		}
		i++
		switch option {
		case "-X":
			method = args[i]
		case "-H":
			name, value, _ := strings.Cut(args[i], ": ")
			header.Add(name, value)
		case "--data-binary":
			body = args[i]
		case "--cacert":
			bundle = args[i]
		case "--insecure":
			i--
			insecure = true
		default:
			fmt.Fprintln(os.Stderr, "curl: option", option, "is unknown")
			return 2
		}
	}
	roots := x509.NewCertPool()
	if bundle != "" {
		pem, err := os.ReadFile(bundle)
		if err != nil {
			fmt.Fprintln(os.Stderr, "curl:", err)
			return 77
		}
		roots.AppendCertsFromPEM(pem)
	}
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		fmt.Fprintln(os.Stderr, "curl:", err)
		return 3
	}
	request.Header = header
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, InsecureSkipVerify: insecure}}}
	response, err := client.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, "curl:", err)
		return 7
	}
	defer response.Body.Close()
	_ = response.Write(os.Stdout)
	return 0
}
